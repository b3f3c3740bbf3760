//! On Linux the library defines functions of CUDA's driver that call the driver. It must use its own, also in
//! a process that has loaded the driver for all libraries, because they turn errors into what the bindings know.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    }
}
