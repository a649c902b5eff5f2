//! Tells the linker which code belongs side by side (see `benches/hot-code.py`).

fn main() {
    let script = "assets/hot-code.ld";
    println!("cargo::rerun-if-changed={script}");
    // It takes time, and only who uses the program gains by it.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release")
        && let Ok(folder) = std::env::var("CARGO_MANIFEST_DIR")
    {
        println!("cargo::rustc-link-arg-bin=wharf=-Wl,-T,{folder}/{script}");
    }
}
