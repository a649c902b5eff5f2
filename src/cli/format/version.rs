//! The versions of this program and of the engine.

use wharf_model::VersionInfo;

use super::text;

/// Returns what `version` prints: this program, then the engine of this name if it answered.
pub(crate) fn sections(client: &str, engine: Option<(&str, &VersionInfo)>) -> String {
    let mut out = format!("Client:\n Version:           {client}\n");
    out.push_str(&format!(
        " OS/Arch:           {}/{}\n",
        std::env::consts::OS,
        go_arch(std::env::consts::ARCH)
    ));
    let Some((name, info)) = engine else { return out };
    out.push_str(&format!("\nEngine: {}\n", text::clean(name)));
    let rows = [
        ("Version:", info.version.clone()),
        ("API version:", info.api_version.clone()),
        ("Git commit:", info.git_commit.clone()),
        ("OS/Arch:", format!("{}/{}", info.os, info.arch)),
        ("Kernel:", info.kernel_version.clone()),
    ];
    for (title, value) in rows {
        if !value.is_empty() && value != "/" {
            out.push_str(&format!(" {title:<18} {}\n", text::clean(&value)));
        }
    }
    out
}

/// Returns docker's document of this program.
pub(crate) fn client() -> serde_json::Value {
    serde_json::json!({
        "Version": crate::VERSION,
        "ApiVersion": wharf_engine::API_VERSION,
        "DefaultAPIVersion": wharf_engine::API_VERSION,
        "GitCommit": option_env!("WHARF_COMMIT").unwrap_or_default(),
        "GoVersion": "",
        "Os": std::env::consts::OS,
        "Arch": go_arch(std::env::consts::ARCH),
        "BuildTime": "",
        "Context": "default",
    })
}

/// Returns the name that docker and Go have for an architecture.
fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sections() {
        let info = VersionInfo {
            version: "0.1.0".into(),
            api_version: "1.47".into(),
            os: "linux".into(),
            arch: "amd64".into(),
            kernel_version: "6.1.0".into(),
            ..VersionInfo::default()
        };
        insta::assert_snapshot!(sections("0.1.0", Some(("wharf", &info))), @r"
        Client:
         Version:           0.1.0
         OS/Arch:           linux/amd64

        Engine: wharf
         Version:           0.1.0
         API version:       1.47
         OS/Arch:           linux/amd64
         Kernel:            6.1.0
        ");
    }
}
