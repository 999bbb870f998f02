//! Compiles the kernel programs of `bpf/` into one object, which the library embeds.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const SOURCE: &str = "bpf/probe.bpf.c";

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=BPF_CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("probe.bpf.o");
    if let Err(why) = compile(&out) {
        println!(
            "cargo::error=cannot compile {SOURCE}: {why}; on Debian and Ubuntu: apt-get install clang llvm libbpf-dev"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn compile(out: &Path) -> Result<(), String> {
    let clang = env::var("BPF_CLANG").unwrap_or_else(|_| "clang".into());
    // The architecture's macro is for pt_regs and syscall numbers, its include directory for asm/types.h.
    let (arch, include) = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("aarch64") => ("arm64", "aarch64-linux-gnu"),
        _ => ("x86", "x86_64-linux-gnu"),
    };
    let output = Command::new(&clang)
        // Without the directory set, the object would hold the path of the checkout and differ from machine to machine.
        .args(["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-fdebug-compilation-dir=."])
        .args(["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"])
        .arg(format!("-D__TARGET_ARCH_{arch}"))
        .arg(format!("-I/usr/include/{include}"))
        .args(["-c", SOURCE, "-o"])
        .arg(out)
        .output()
        .map_err(|e| format!("cannot run {clang}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{clang}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    // Takes the DWARF away and keeps .BTF and .BTF.ext, which loading needs. It only saves space.
    match Command::new("llvm-strip").arg("-g").arg(out).status() {
        Ok(status) if status.success() => Ok(()),
        _ => {
            println!("cargo::warning=llvm-strip is missing or failed: the kernel object keeps its debug information");
            Ok(())
        }
    }
}
