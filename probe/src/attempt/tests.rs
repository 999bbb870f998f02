mod balance;
mod datagrams;
mod dropped;
mod filters;
mod scans;
mod tcp;
