//! Puts the recorded sample into the binary, so that `millrace demo` needs no file: `sample/raw.jsonl` and the manifests
//! below `sample/manifests`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("sample");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut code = String::new();
    constant(
        &mut code,
        "/// Raw records and ledgers as JSON lines, stream by stream in order.\nconst RAW: &str",
        &root.join("raw.jsonl"),
    );
    let mut manifests: Vec<PathBuf> =
        fs::read_dir(root.join("manifests"))?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<_>>()?;
    manifests.sort();
    code.push_str("/// The manifests: file name and content.\nconst MANIFESTS: &[(&str, &str)] = &[\n");
    for path in &manifests {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(code, "    ({name:?}, include_str!({path:?})),").map_err(io::Error::other)?;
    }
    code.push_str("];\n");
    fs::write(Path::new(&variable("OUT_DIR")?).join("sample.rs"), code)
}

fn constant(code: &mut String, declaration: &str, path: &Path) {
    code.push_str(&format!("{declaration} = include_str!({path:?});\n"));
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(io::Error::other)
}
