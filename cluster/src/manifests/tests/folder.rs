//! Reading a folder again: changes, half-written files, broken files, limits, things that are no files.

use std::fs;
use std::path::PathBuf;

use flow::UnixMs;

use super::*;

/// A time at which every file of the tests has settled.
const LATER: UnixMs = UnixMs(4_000_000_000_000);

struct Dir {
    dir: tempfile::TempDir,
}

impl Dir {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn folder(&self) -> Folder {
        Folder::new(self.dir.path(), Limits::default())
    }
}

fn reports(scan: &Scan) -> Vec<String> {
    scan.invalid.iter().map(ToString::to_string).collect()
}

#[test]
fn all_kinds_of_files_in_any_nesting() {
    let dir = Dir::new();
    dir.write("a.yaml", &pod("a"));
    dir.write("x/y/b.yml", &pod("b"));
    dir.write("x/c.json", "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"c\"}}");
    dir.write("x/readme.md", "no manifest");
    dir.write("x/.hidden.yaml", &pod("hidden"));
    dir.write(".git/d.yaml", &pod("d"));
    let (objects, invalid) = read(dir.dir.path(), Limits::default());
    assert_eq!(pod_names(&objects), ["a", "b", "c"]);
    assert_eq!(invalid, []);
}

#[test]
fn a_config_map_volume_is_read_once() {
    let dir = Dir::new();
    dir.write("..2026_01_01/a.yaml", &pod("a"));
    std::os::unix::fs::symlink("..2026_01_01", dir.path("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.yaml", dir.path("a.yaml")).unwrap();
    let scan = dir.folder().read();
    assert_eq!(pod_names(&scan.objects), ["a"]);
    assert_eq!(reports(&scan), [""; 0]);
}

#[test]
fn what_changed_is_read_again() {
    let dir = Dir::new();
    dir.write("a.yaml", &pod("a"));
    dir.write("b.yaml", &pod("b"));
    let mut folder = dir.folder();
    assert!(folder.read().changed);
    assert!(!folder.reread(LATER).changed);

    dir.write("b.yaml", &(pod("b") + "---\n" + &pod("c")));
    let scan = folder.reread(LATER);
    assert!(scan.changed);
    assert_eq!(pod_names(&scan.objects), ["a", "b", "c"]);

    fs::remove_file(dir.path("a.yaml")).unwrap();
    let scan = folder.reread(LATER);
    assert!(scan.changed);
    assert_eq!(pod_names(&scan.objects), ["b", "c"]);
    assert!(!folder.reread(LATER).changed);
}

#[test]
fn a_second_write_within_one_time_stamp_is_seen() {
    let dir = Dir::new();
    dir.write("a.yaml", &pod("a"));
    let modified = fs::metadata(dir.path("a.yaml")).unwrap().modified().unwrap();
    let mut folder = dir.folder();
    folder.read();
    // The same size, and a time stamp that did not move.
    dir.write("a.yaml", &pod("b"));
    fs::File::options().write(true).open(dir.path("a.yaml")).unwrap().set_modified(modified).unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let soon = UnixMs(u64::try_from(since).unwrap() + 1_000);
    assert_eq!(pod_names(&folder.reread(soon).objects), ["b"]);
}

#[test]
fn a_file_being_written_is_looked_at_again() {
    let dir = Dir::new();
    dir.write("a.yaml", &pod("a"));
    let mut folder = dir.folder();
    folder.read();
    dir.write("a.yaml", "apiVersion: v1\nkind: Po");
    let now = fs::metadata(dir.path("a.yaml")).unwrap().modified().unwrap();
    let now = UnixMs(u64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap());
    let scan = folder.reread(now);
    assert!(scan.unsettled && !scan.changed);
    assert_eq!((pod_names(&scan.objects), reports(&scan)), (vec!["a"], vec![]));
    dir.write("a.yaml", &pod("b"));
    let scan = folder.reread(LATER);
    assert!(scan.changed && !scan.unsettled);
    assert_eq!(pod_names(&scan.objects), ["b"]);
}

#[test]
fn a_file_that_never_settles_is_read_at_last() {
    let dir = Dir::new();
    dir.write("a.yaml", &pod("a"));
    let mut folder = dir.folder();
    folder.read();
    dir.write("a.yaml", &pod("b"));
    // A clock behind the file's time: it looks as if it were written at this very moment, for ever.
    let looks = (0..20).position(|_| pod_names(&folder.reread(UnixMs(0)).objects) == ["b"]);
    assert_eq!(looks, Some(10));
}

#[test]
fn a_broken_file_keeps_its_last_good_version() {
    let dir = Dir::new();
    dir.write("a.yaml", &(pod("a") + "---\n" + &pod("b")));
    let mut folder = dir.folder();
    folder.read();

    dir.write("a.yaml", &(pod("a") + "  labels: {new: label}\n---\nkind: ["));
    let scan = folder.reread(LATER);
    assert_eq!(pod_names(&scan.objects), ["a", "b"]);
    assert_eq!(scan.objects.pods.iter().filter(|pod| pod.meta.labels.contains_key("new")).count(), 1);
    assert_eq!(scan.invalid.len(), 1);
    assert!(scan.invalid[0].kept, "{:?}", reports(&scan));
    assert!(reports(&scan)[0].ends_with("(the version read before stays in use)"));

    // Broken once more: what was kept is still kept.
    dir.write("a.yaml", "kind: [");
    assert_eq!(pod_names(&folder.reread(LATER).objects), ["a", "b"]);
    // Mended: what is not there any more goes.
    dir.write("a.yaml", &pod("b"));
    let scan = folder.reread(LATER);
    assert_eq!((pod_names(&scan.objects), reports(&scan)), (vec!["b"], vec![]));
}

#[test]
fn an_object_that_breaks_keeps_its_last_good_version_alone() {
    let dir = Dir::new();
    let third = "---\n{apiVersion: v1, kind: Pod, metadata: {name: c}}\n";
    dir.write("a.yaml", &(pod("a") + "---\n" + &pod("b") + third));
    let mut folder = dir.folder();
    folder.read();
    dir.write("a.yaml", &(pod("b") + "spec: 7\n---\n{apiVersion: v1, kind: Pod, metadata: {name: c}, spec: 7}\n"));
    let scan = folder.reread(LATER);
    assert_eq!(pod_names(&scan.objects), ["b", "c"], "a is gone, b and c are broken");
    assert!(scan.invalid.iter().all(|report| report.kept), "{:?}", reports(&scan));
}

#[test]
fn a_file_that_can_no_longer_be_read_keeps_its_objects() {
    let dir = Dir::new();
    dir.write("a.yaml", &pod("a"));
    let limits = Limits { file_bytes: 200, ..Limits::default() };
    let mut folder = Folder::new(dir.dir.path(), limits);
    folder.read();
    dir.write("a.yaml", &format!("{}# {}\n", pod("a"), "x".repeat(200)));
    let scan = folder.reread(LATER);
    assert_eq!(pod_names(&scan.objects), ["a"]);
    assert_eq!(
        reports(&scan),
        ["a.yaml: holds more than 200 bytes; the rest is left out (the version read before stays in use)"]
    );
}

#[test]
fn a_folder_that_is_gone_for_a_moment_keeps_its_objects() {
    let dir = Dir::new();
    dir.write("in/a.yaml", &pod("a"));
    let mut folder = Folder::new(&dir.path("in"), Limits::default());
    folder.read();
    fs::rename(dir.path("in"), dir.path("out")).unwrap();
    let scan = folder.reread(LATER);
    assert_eq!(pod_names(&scan.objects), ["a"]);
    assert!(scan.invalid[0].kept && scan.changed);
    fs::rename(dir.path("out"), dir.path("in")).unwrap();
    assert_eq!(reports(&folder.reread(LATER)), [""; 0]);
}

#[test]
fn a_folder_that_is_not_there() {
    let (objects, invalid) = read(std::path::Path::new("/nowhere/at/all"), Limits::default());
    assert!(objects.is_empty());
    assert_eq!(invalid.len(), 1);
    assert_eq!(invalid[0].reason.label(), "unreadable");
}

#[test]
fn links_and_pipes_are_reported_and_not_followed() {
    let dir = Dir::new();
    dir.write("x/a.yaml", &pod("a"));
    std::os::unix::fs::symlink("..", dir.path("x/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere.yaml", dir.path("x/dangling.yaml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path("x/zero.yaml")).unwrap();
    let (objects, invalid) = read(dir.dir.path(), Limits::default());
    assert_eq!(pod_names(&objects), ["a"]);
    let files: Vec<(&str, &str)> = invalid.iter().map(|r| (r.file.as_ref(), r.reason.label())).collect();
    assert_eq!(files, [("x/dangling.yaml", "unreadable"), ("x/loop", "special"), ("x/zero.yaml", "special")]);
}

#[test]
fn limits_are_kept_and_reported() {
    let dir = Dir::new();
    for name in ["a", "b", "c"] {
        dir.write(&format!("{name}.yaml"), &pod(name));
    }
    dir.write("d/e/f/g.yaml", &pod("g"));
    let bytes = pod("a").len() as u64;
    for (limits, pods, what) in [
        (Limits { files: 2, ..Limits::default() }, 2, "files"),
        (Limits { total_bytes: 2 * bytes, ..Limits::default() }, 2, "bytes in all files"),
        (Limits { objects: 2, ..Limits::default() }, 2, "objects in all files"),
        (Limits { depth: 2, ..Limits::default() }, 3, "directories within directories"),
        (Limits { file_bytes: bytes - 1, ..Limits::default() }, 0, "bytes"),
    ] {
        let (objects, invalid) = read(dir.dir.path(), limits);
        assert_eq!(objects.pods.len(), pods, "{what}");
        let said =
            |report: &InvalidManifest| matches!(report.reason, InvalidReason::Limit { what: it, .. } if it == what);
        assert!(invalid.iter().any(said), "{what}: {invalid:?}");
    }
}
