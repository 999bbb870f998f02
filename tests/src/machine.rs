//! What this machine can do, and how much is asked of it.

use std::path::{Path, PathBuf};

/// Returns true if namespaces and kernel programs are possible here. Otherwise says why, in a line that begins with
/// `SKIPPED:`; where `CI=true` it panics instead.
#[must_use]
pub fn can_capture(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    let missing = match (root, btf) {
        (true, true) => return true,
        (false, _) => "root",
        (true, false) => "a kernel with BTF (/sys/kernel/btf/vmlinux)",
    };
    let message = format!("SKIPPED: {test} needs {missing}");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    eprintln!("{message}");
    false
}

/// Returns `full` where `MILLRACE_SCALE=full` (`make verify`), else a tenth of it, at least 1.
#[must_use]
pub fn scaled(full: u64) -> u64 {
    if std::env::var("MILLRACE_SCALE").as_deref() == Ok("full") { full } else { full.div_ceil(10) }
}

/// Returns a binary of the workspace, as cargo put it beside the tests.
///
/// # Panics
/// If it was not built; the message says how.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().find(|folder| folder.join(name).is_file());
    match folder {
        Some(folder) => folder.join(name),
        None => panic!("no binary `{name}` beside `{}`: run `cargo build --workspace --bins`", test.display()),
    }
}
