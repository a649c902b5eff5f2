//! Docker's inspect document of an image.

use serde_json::{Map, Value, json};
use wharf_model::{ImageConfig, ImageDetail};

use crate::document::{health_check, list, time};

/// Returns docker's inspect document of an image: one element of what `docker image inspect`
/// prints.
pub fn image_document(detail: &ImageDetail) -> Value {
    let summary = &detail.summary;
    let tags: Vec<String> = summary.tags.iter().map(ToString::to_string).collect();
    let layers: Vec<&str> = detail.layers.iter().map(|l| l.diff_id.as_str()).collect();
    json!({
        "Id": summary.id.as_str(),
        "RepoTags": tags,
        "RepoDigests": summary.repo_digests,
        "Parent": "",
        "Comment": detail.comment,
        "Created": time(summary.created),
        "DockerVersion": "",
        "Author": detail.author,
        "Config": config(&detail.config),
        "Architecture": detail.architecture,
        "Os": detail.os,
        "Size": summary.size,
        "GraphDriver": graph_driver(detail),
        "RootFS": {"Type": "layers", "Layers": layers},
        "Metadata": {"LastTagTime": time(None)},
    })
}

fn config(config: &ImageConfig) -> Value {
    let mut value = Map::new();
    let mut put = |key: &str, item: Value| {
        value.insert(key.to_owned(), item);
    };
    put("Hostname", "".into());
    put("Domainname", "".into());
    put("User", config.user.as_str().into());
    put("AttachStdin", false.into());
    put("AttachStdout", false.into());
    put("AttachStderr", false.into());
    if !config.exposed_ports.is_empty() {
        put("ExposedPorts", json!(config.exposed_ports));
    }
    put("Tty", false.into());
    put("OpenStdin", false.into());
    put("StdinOnce", false.into());
    put("Env", list(&config.env));
    put("Cmd", list(&config.cmd));
    if let Some(check) = &config.healthcheck {
        put("Healthcheck", health_check(check));
    }
    put("Image", "".into());
    let volumes = &config.volumes;
    put("Volumes", if volumes.is_empty() { Value::Null } else { json!(volumes) });
    put("WorkingDir", config.working_dir.as_str().into());
    put("Entrypoint", list(&config.entrypoint));
    put("OnBuild", list(&config.on_build));
    let labels = &config.labels;
    put("Labels", if labels.is_empty() { Value::Null } else { json!(labels) });
    if !config.shell.is_empty() {
        put("Shell", json!(config.shell));
    }
    if let Some(signal) = &config.stop_signal {
        put("StopSignal", signal.as_str().into());
    }
    value.into()
}

/// An image is mounted read-only as its topmost layer over the others.
fn graph_driver(detail: &ImageDetail) -> Value {
    let mut paths = detail.layers.iter().rev().filter_map(|l| l.path.as_deref());
    let upper = paths.next();
    let lower: Vec<&str> = paths.collect();
    let mut data = Map::new();
    if !lower.is_empty() {
        data.insert("LowerDir".into(), lower.join(":").into());
    }
    if let Some(upper) = upper {
        data.insert("UpperDir".into(), upper.into());
    }
    json!({"Data": data, "Name": "overlay2"})
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{Digest, ImageSummary, LayerInfo};

    #[test]
    fn images_look_as_docker_shows_them() {
        let layer = |n: u8| LayerInfo {
            diff_id: Digest::from_bytes(&[n; 32]),
            chain_id: Digest::from_bytes(&[n + 100; 32]),
            size: 1,
            path: Some(format!("/layers/{n}")),
            space: None,
        };
        let detail = ImageDetail {
            summary: ImageSummary {
                id: Digest::from_bytes(&[9; 32]),
                tags: vec!["alpine".parse().unwrap()],
                repo_digests: Vec::new(),
                created: None,
                size: 3,
                containers: 0,
                labels: Default::default(),
            },
            architecture: "amd64".into(),
            os: "linux".into(),
            author: String::new(),
            comment: String::new(),
            config: ImageConfig { cmd: vec!["/bin/sh".into()], ..ImageConfig::default() },
            layers: vec![layer(1), layer(2), layer(3)],
        };
        let document = image_document(&detail);
        assert_eq!(document["RepoTags"], json!(["alpine:latest"]));
        assert_eq!(document["Created"], "0001-01-01T00:00:00Z");
        assert_eq!(document["Config"]["Cmd"], json!(["/bin/sh"]));
        assert_eq!(document["Config"]["Labels"], Value::Null);
        assert_eq!(document["RootFS"]["Layers"].as_array().unwrap().len(), 3);
        assert_eq!(
            document["GraphDriver"]["Data"],
            json!({"LowerDir": "/layers/2:/layers/1", "UpperDir": "/layers/3"})
        );
    }
}
