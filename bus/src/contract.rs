//! What every engine must do, as tests that any engine can be put through.
