//! Whether the kernel takes the probe's programs: the surest way to know is to load them, and take them off again.

use std::error::Error;

use probe::kernel::{Hook, HookReport, HookState, Kernel, KernelError, KernelOptions};

use super::{Check, State};

const NAME: &str = "hooks";

/// Loads and attaches every hook for a moment, unless what was found before says that this cannot work.
pub(super) fn check(found: &[Check]) -> Vec<Check> {
    let hindrance = found.iter().find(|check| check.state == State::Fail);
    match hindrance {
        Some(check) => vec![Check::warn(
            NAME,
            format!("not tried: {} is in the way", check.name),
            "put that right, then ask again (as root)",
        )],
        // What was attached is detached when the kernel side is dropped, at the end of the statement.
        None => judge(Kernel::start(&KernelOptions::default()).map(|(_, reports)| reports)),
    }
}

fn judge(started: Result<Vec<HookReport>, KernelError>) -> Vec<Check> {
    let reports = match started {
        Ok(reports) => reports,
        Err(error) => {
            return vec![Check::fail(NAME, chain(&error), "see the checks above; `millrace run` would say the same")];
        }
    };
    let wanted = reports.iter().filter(|report| !matches!(report.state, HookState::Disabled)).count();
    let refused: Vec<Check> = reports.iter().filter_map(refusal).collect();
    if refused.is_empty() {
        return vec![Check::ok(NAME, format!("the kernel takes all {wanted}"))];
    }
    let taken = wanted - refused.len();
    let mut checks = vec![Check::ok(NAME, format!("the kernel takes {taken} of {wanted}"))];
    checks.extend(refused);
    checks
}

fn refusal(report: &HookReport) -> Option<Check> {
    const FIX: &str = "the others work without it; kernels from 5.17 on take all";
    let HookState::Refused(error) = &report.state else { return None };
    let found = format!("refused, so {}: {}", report.hook.without(), chain(error));
    Some(match report.hook {
        Hook::TcpState => Check::fail(report.hook.name(), found, "a kernel from 5.11 on with BTF"),
        _ => Check::warn(report.hook.name(), found, FIX),
    })
}

/// Returns the first line of each reason: a verifier's log is long.
fn chain(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        let line = message.lines().next().unwrap_or_default();
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(line);
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use probe::kernel::HookError;

    use super::*;

    fn report(hook: Hook, state: HookState) -> HookReport {
        HookReport { hook, state }
    }

    #[test]
    fn a_refused_hook_is_told_with_what_is_not_seen_without_it() {
        let checks = judge(Ok(vec![
            report(Hook::TcpState, HookState::Attached),
            report(Hook::Empty, HookState::Disabled),
            report(Hook::Drops, HookState::Refused(HookError::Missing)),
        ]));
        assert_eq!(checks[0].found, "the kernel takes 1 of 2");
        assert_eq!((checks[1].name, checks[1].state), ("packet_dropped", State::Warn));
        assert!(checks[1].found.contains("dropped packets and their reasons are not seen"), "{checks:?}");
        let all = judge(Ok(vec![report(Hook::TcpState, HookState::Attached)]));
        assert_eq!((all.len(), all[0].state), (1, State::Ok));
        let none = judge(Ok(vec![report(Hook::TcpState, HookState::Refused(HookError::Missing))]));
        assert_eq!(none[1].state, State::Fail, "without TCP there is not much to see");
    }

    #[test]
    fn nothing_is_tried_where_it_cannot_work() {
        let checks = check(&[Check::fail("btf", "missing", "a kernel with it")]);
        assert_eq!((checks[0].state, checks[0].found.as_str()), (State::Warn, "not tried: btf is in the way"));
    }
}
