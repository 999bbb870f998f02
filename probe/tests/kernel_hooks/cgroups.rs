use std::fs;

use crate::lab::{Cgroup, ready, unique};
use crate::probe_run::ProbeRun;

#[test]
fn a_directory_that_lives_for_a_moment_is_told_with_its_path() {
    if !ready() {
        return;
    }
    let mut run = ProbeRun::start();
    let name = unique();
    let outer = Cgroup::named(&name);
    let long = "cri-containerd-".to_owned() + &"0".repeat(200) + ".scope";
    let inner = outer.path.join(&long);
    fs::create_dir(&inner).unwrap();
    fs::remove_dir(&inner).unwrap();
    let (path, id) = (format!("/{name}/{long}"), outer.id);
    drop(outer);
    run.until("the outer one removed", |r| r.cgroups().iter().any(|c| c.id == id && !c.made));
    let inner: Vec<bool> = run.cgroups().into_iter().filter(|c| c.path == path).map(|c| c.made).collect();
    assert_eq!(inner, [true, false]);
    let outer: Vec<bool> = run.cgroups().into_iter().filter(|c| c.id == id).map(|c| c.made).collect();
    assert_eq!(outer, [true, false]);
}
