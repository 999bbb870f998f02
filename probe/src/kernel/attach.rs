//! Loads and attaches each hook by itself: what the kernel refuses is reported, the rest works.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;

use aya::programs::{CgroupAttachMode, CgroupSkbAttachType, Program, ProgramError};
use aya::{Btf, Ebpf};

use super::hook::{Hook, HookError, HookReport, HookState, Place, RunStatistics};
use super::options::KernelOptions;
use super::syscall;

/// Most tries to load one program.
const LOAD_TRIES: usize = 20;

/// Attaches the wanted hooks in their order and says of each how it went.
pub(super) fn attach_all(programs: &mut Ebpf, btf: &Btf, options: &KernelOptions) -> Vec<HookReport> {
    let mut attached = BTreeSet::new();
    let mut attach = |hook: Hook| {
        if !options.hooks.contains(&hook) {
            return HookState::Disabled;
        }
        if let Some(other) = hook.needs().filter(|other| !attached.contains(other)) {
            return HookState::Refused(HookError::Needs(other));
        }
        match attach_one(programs, btf, options, hook) {
            Ok(()) => {
                attached.insert(hook);
                HookState::Attached
            }
            Err(error) => HookState::Refused(error),
        }
    };
    Hook::ALL.into_iter().map(|hook| HookReport { hook, state: attach(hook) }).collect()
}

fn attach_one(programs: &mut Ebpf, btf: &Btf, options: &KernelOptions, hook: Hook) -> Result<(), HookError> {
    let attached = hook.programs().iter().try_for_each(|name| attach_program(programs, btf, options, hook, name));
    if attached.is_err() {
        unload(programs, hook);
    }
    attached
}

fn attach_program(
    programs: &mut Ebpf,
    btf: &Btf,
    options: &KernelOptions,
    hook: Hook,
    name: &str,
) -> Result<(), HookError> {
    let program = programs.program_mut(name).ok_or(HookError::Missing)?;
    load_patiently(program, btf, hook.place()).map_err(HookError::Load)?;
    match hook.place() {
        Place::Iterator(_) => Ok(()), // attached for each reading
        Place::Tracepoint(_) => attach_tracepoint(program).map_err(HookError::Attach),
        Place::CgroupIngress | Place::CgroupEgress | Place::CgroupSocket | Place::CgroupConnect => {
            let path = &options.cgroup_root;
            let root =
                File::open(path).map_err(|error| HookError::CgroupRoot { path: path.display().to_string(), error })?;
            attach_cgroup(program, &root, hook.place()).map_err(HookError::Attach)
        }
    }
}

/// The kernel breaks the verification off with EAGAIN when a signal comes for the calling thread; nothing is wrong with
/// the program then. libbpf tries 5 times, a busy machine may need more.
fn load_patiently(program: &mut Program, btf: &Btf, place: Place) -> Result<(), ProgramError> {
    for _ in 1..LOAD_TRIES {
        match load(program, btf, place) {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.kind() == ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
    load(program, btf, place)
}

fn load(program: &mut Program, btf: &Btf, place: Place) -> Result<(), ProgramError> {
    match (program, place) {
        (Program::BtfTracePoint(p), Place::Tracepoint(name)) => p.load(name, btf),
        (Program::Iter(p), Place::Iterator(name)) => p.load(name, btf),
        (Program::CgroupSkb(p), _) => p.load(),
        (Program::CgroupSock(p), _) => p.load(),
        (Program::CgroupSockAddr(p), _) => p.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn attach_tracepoint(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::BtfTracePoint(p) => p.attach().map(drop),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// A cgroup link is always one of several and takes no flags, which aya spells `Single`; its `AllowMultiple` is refused
/// by the kernel with EINVAL.
fn attach_cgroup(program: &mut Program, root: &File, place: Place) -> Result<(), ProgramError> {
    let mode = CgroupAttachMode::Single;
    match program {
        Program::CgroupSkb(p) => {
            let way =
                if place == Place::CgroupIngress { CgroupSkbAttachType::Ingress } else { CgroupSkbAttachType::Egress };
            p.attach(root, way, mode).map(drop)
        }
        Program::CgroupSock(p) => p.attach(root, mode).map(drop),
        Program::CgroupSockAddr(p) => p.attach(root, mode).map(drop),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Detaches and unloads the programs of a hook, the last one first. A program that is not loaded stays so.
pub(super) fn unload(programs: &mut Ebpf, hook: Hook) {
    for name in hook.programs().iter().rev() {
        let result = match programs.program_mut(name) {
            Some(Program::BtfTracePoint(p)) => p.unload(),
            Some(Program::Iter(p)) => p.unload(),
            Some(Program::CgroupSkb(p)) => p.unload(),
            Some(Program::CgroupSock(p)) => p.unload(),
            Some(Program::CgroupSockAddr(p)) => p.unload(),
            _ => Ok(()),
        };
        // That it was never loaded is no news after a refusal.
        if let Err(error) = result
            && !matches!(error, ProgramError::NotLoaded)
        {
            tracing::debug!(program = *name, %error, "cannot unload a kernel program");
        }
    }
}

/// Reads what the kernel counted of a hook's programs; none if they are not loaded.
pub(super) fn statistics(programs: &Ebpf, hook: Hook) -> Option<RunStatistics> {
    let of = |name: &&str| syscall::program_statistics(programs.program(name)?.fd().ok()?.as_fd()).ok();
    let all: Vec<_> = hook.programs().iter().map(of).collect::<Option<_>>()?;
    Some(RunStatistics {
        hook,
        runs: all[0].runs,
        run_ns: all.iter().map(|program| program.run_ns).sum(),
        skipped: all[0].missed,
        // An event that was missed was skipped by each.
        missed: all.iter().map(|program| program.missed).min().unwrap_or(0),
    })
}
