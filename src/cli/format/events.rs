//! What happens to objects, a line each.

use chrono::{Local, SecondsFormat};
use wharf_inspect::event_document;
use wharf_inspect::template::{Record, Value};
use wharf_model::Event;

use super::text;

/// Returns the line that docker prints for an event.
pub(crate) fn line(event: &Event) -> String {
    let time = event.time.with_timezone(&Local).to_rfc3339_opts(SecondsFormat::Nanos, true);
    let mut line =
        format!("{time} {} {} {}", event.kind.as_str(), text::clean(&event.action), event.id);
    if !event.attributes.is_empty() {
        let attributes: Vec<String> = event
            .attributes
            .iter()
            .map(|(key, value)| text::clean(&format!("{key}={value}")))
            .collect();
        line.push_str(&format!(" ({})", attributes.join(", ")));
    }
    line.push('\n');
    line
}

/// Returns an event as templates see it: the names are those of docker's own program, the JSON is
/// the document.
pub(crate) fn record(event: &Event) -> Value {
    let typed = wharf_inspect::typed(&event_document(event));
    let Value::Record(document) = &typed else { return typed };
    let find = |name: &str| {
        let found = document.fields.iter().find(|(known, _)| known == name);
        found.map_or_else(|| "".into(), |(_, value)| value.clone())
    };
    let hidden = [
        ("Status", "status"),
        ("ID", "id"),
        ("From", "from"),
        ("Scope", "scope"),
        ("Time", "time"),
        ("TimeNano", "timeNano"),
    ];
    Value::from(Record {
        type_name: "*events.Message",
        fields: document.fields.clone(),
        hidden: hidden.map(|(name, field)| (name.to_owned(), find(field))).into(),
        escapes_html: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_inspect::template::{Options, Template};
    use wharf_model::EventKind;

    #[test]
    fn lines_and_documents_are_dockers() {
        let event = Event {
            time: "2026-11-21T13:42:57.507897386Z".parse().unwrap(),
            kind: EventKind::Container,
            action: "die".into(),
            id: "38e6".into(),
            attributes: [("exitCode", "3"), ("image", "box"), ("name", "do\x1bne")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        };
        let text = line(&event);
        let (time, rest) = text.split_once(' ').unwrap();
        assert_eq!(time.parse::<chrono::DateTime<chrono::Utc>>().unwrap(), event.time);
        assert_eq!(rest, "container die 38e6 (exitCode=3, image=box, name=do\u{fffd}ne)\n");
        let run = |text: &str| {
            let template = Template::parse("", text).unwrap();
            template.execute(&record(&event), Options::default()).unwrap()
        };
        assert_eq!(
            run("{{.ID}} {{.Type}} {{.Action}} {{.Status}} {{.From}} {{.Actor.ID}} \
                 {{.Actor.Attributes.exitCode}} {{.Time}} {{.TimeNano}} {{.Scope}}"),
            "38e6 container die die box 38e6 3 1795268577 1795268577507897386 local"
        );
        assert_eq!(
            run("{{json .}}"),
            "{\"status\":\"die\",\"id\":\"38e6\",\"from\":\"box\",\"Type\":\"container\",\
             \"Action\":\"die\",\"Actor\":{\"ID\":\"38e6\",\"Attributes\":{\"exitCode\":\"3\",\
             \"image\":\"box\",\"name\":\"do\\u001bne\"}},\"scope\":\"local\",\"time\":1795268577,\
             \"timeNano\":1795268577507897386}"
        );
    }
}
