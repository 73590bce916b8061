//! What a tag will publish, while it is typed: checked and named by the code that will do it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::draft::off;
use crate::codec::json;
use crate::codec::registers::{Decoded, decode, encode};
use crate::config::edit::{self, Edit, Step, Value};
use crate::config::{DevicePlan, Looked, Severity, Source, TagPlan, file};
use crate::model::{self, Coding, Mono, Reading, TagId, ValueKind, Wall};
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem};
use crate::web::refusal::{Finding, of_edit};

pub fn routes() -> Routes {
    routes!(preview)
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PreviewWanted)]
struct Wanted {
    device: String,
    name: String,
    /// The tag, as it would stand in the configuration.
    #[schema(value_type = Object)]
    tag: Value,
    /// The device without its tags, where it is not in the draft yet, or changes with the tag.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    section: Option<Value>,
    /// The tag of the draft whose place it takes.
    #[serde(default)]
    replaces: Option<String>,
}

/// What subscribers will get.
#[derive(Debug, Serialize, ToSchema)]
struct Preview {
    /// `null` while the tag can't be read far enough.
    topic: Option<String>,
    /// With a value that is made up, unless the tag runs already.
    payload: Option<String>,
    qos: u8,
    retained: bool,
    valid: bool,
    /// Of this tag alone.
    problems: Vec<Finding>,
}

/// Topic and payload of a tag that does not exist yet.
#[utoipa::path(post, path = "/preview", tag = "configuration", request_body = Wanted,
    security(("session" = ["viewer"])), responses((status = 200, body = Preview)))]
async fn preview(
    State(app): State<App>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Preview>, Problem> {
    for (field, value) in [("tag", Some(&wanted.tag)), ("section", wanted.section.as_ref())] {
        if value.is_some_and(|value| !matches!(value, Value::Map(_))) {
            let problem = Problem::refused("a section of the configuration is an object");
            return Err(problem.field(field));
        }
    }
    let text = app.draft().now(&app).await?.text.clone();
    let path = app.setup().status().borrow().file.clone();
    let (device, name) = (wanted.device.clone(), wanted.name.clone());
    let looked = off(move || {
        let text = with_tag(&text, wanted)?;
        Ok::<_, Problem>(file::look_at(&path, &text))
    });
    let looked = looked.await??;
    Ok(Json(of(&looked, &device, &name, app.clock().wall())))
}

/// The draft with the tag in it.
fn with_tag(text: &str, wanted: Wanted) -> Result<String, Problem> {
    let Wanted { device, name, tag, section, replaces } = wanted;
    let path =
        |keys: &[&str]| keys.iter().map(|key| Step::Key((*key).to_owned())).collect::<Vec<_>>();
    let tree = edit::read(text).map_err(|refusal| of_edit(&refusal))?;
    let mut edits = Vec::new();
    let keys = section.as_ref().map(Value::entries).unwrap_or_default();
    for (key, value) in keys.iter().filter(|(key, _)| key != "tags") {
        let path = path(&["devices", &device, key]);
        edits.push(Edit::Set { path, value: value.clone() });
    }
    let replaces = replaces.filter(|old| *old != name);
    let old = replaces.map(|old| path(&["devices", &device, "tags", &old]));
    edits.extend(old.filter(|old| tree.at(old).is_some()).map(|path| Edit::Remove { path }));
    edits.push(Edit::Set { path: path(&["devices", &device, "tags", &name]), value: tag });
    edit::apply(text, &edits).map_err(|refusal| of_edit(&refusal))
}

fn of(looked: &Looked, device: &str, name: &str, wall: Wall) -> Preview {
    let plan = looked.plan.as_ref();
    let own = |(_, of, tag): &(_, &DevicePlan, &TagPlan)| {
        of.name.as_str() == device && tag.name.as_str() == name
    };
    let tag = plan.and_then(|plan| plan.tags().find(own)).map(|(_, _, tag)| tag);
    let path = format!("devices.{device}.tags.{name}");
    let of_tag = looked.problems.iter().filter(|problem| {
        let rest = problem.path.strip_prefix(&path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    let problems: Vec<_> = of_tag.collect();
    let errors = problems.iter().any(|problem| problem.severity == Severity::Error);
    Preview {
        topic: tag.map(|tag| tag.topic.to_string()),
        payload: tag.map(|tag| payload(tag, wall)),
        qos: 1,
        retained: true,
        valid: tag.is_some() && !errors,
        problems: problems.into_iter().map(Finding::from).collect(),
    }
}

/// As the live lane writes it.
fn payload(tag: &TagPlan, wall: Wall) -> String {
    let reading = Reading::good(TagId(0), Mono(0), example(tag));
    let mut payload = Vec::new();
    json::tag_live(&mut payload, &reading, wall, &tag.unit, None);
    String::from_utf8_lossy(&payload).into_owned()
}

/// A value such as the tag may have, by the codec that will make it.
fn example(tag: &TagPlan) -> model::Value {
    let registers = match &tag.source {
        Source::Registers(registers) => registers,
        Source::Field(field) => return of_kind(field.kind),
    };
    let coding = Coding { count: 1, scale_register: false, ..registers.coding.clone() };
    if let Some(label) = coding.labels.first() {
        return model::Value::Text(label.text.clone());
    }
    let raw = Coding { linear: None, ..coding.clone() };
    let encoded = encode(&raw, &of_kind(raw.value_kind())).map(|encoded| encoded.words);
    let words = encoded.unwrap_or_else(|_| vec![1; usize::from(coding.span())]);
    let value = match decode(&coding, registers.table.is_bits(), &words) {
        Decoded::Good(value) | Decoded::Uncertain(value, _) => value,
        Decoded::Bad(_) => of_kind(coding.value_kind()),
    };
    match registers.coding.count {
        0 | 1 => value,
        count => model::Value::List(vec![value; usize::from(count)].into()),
    }
}

fn of_kind(kind: ValueKind) -> model::Value {
    match kind {
        ValueKind::Bool => model::Value::Bool(true),
        ValueKind::Integer => model::Value::I64(231),
        ValueKind::Unsigned => model::Value::U64(231),
        ValueKind::Real => model::Value::F64(231.42),
        ValueKind::Text => model::Value::Text("text".into()),
        ValueKind::Bytes => model::Value::Bytes([1, 2].into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "gateway: { name: g, site: s }\nbuses: { b: { modbus-tcp: { host: h } } }\n\
        devices:\n  m: { bus: b, tags: { old: { holding: 0, type: u16 } } } # ours\n";

    fn show(device: &str, name: &str, tag: &str, more: &str) -> Preview {
        let wanted = format!("{{\"device\":\"{device}\",\"name\":\"{name}\",\"tag\":{tag}{more}}}");
        let text = with_tag(TEXT, serde_json::from_str(&wanted).unwrap());
        let text = text.unwrap_or_else(|problem| panic!("{problem:?}"));
        let looked = file::look_at(std::path::Path::new("/nowhere/x.yaml"), &text);
        of(&looked, device, name, Wall(5))
    }

    #[test]
    fn a_tag_is_shown_as_it_will_be_published() {
        for (tag, payload) in [
            (r#"{"holding":4,"type":"f32","unit":"V"}"#, r#"{"v":231.42,"ts":5,"u":"V"}"#),
            (r#"{"holding":4,"type":"i16","scale":0.1}"#, r#"{"v":23.1,"ts":5}"#),
            (r#"{"coil":0}"#, r#"{"v":true,"ts":5}"#),
            (r#"{"holding":0,"type":"u16","labels":{"0":"off"}}"#, r#"{"v":"off","ts":5}"#),
            (r#"{"holding":0,"type":"unix-seconds"}"#, r#"{"v":"1970-01-01T18:12:17Z","ts":5}"#),
            (r#"{"holding":0,"type":"u16","count":2}"#, r#"{"v":[231,231],"ts":5}"#),
        ] {
            let said = show("m", "new", tag, "");
            assert_eq!(said.payload.as_deref(), Some(payload), "{tag}");
            assert_eq!((said.topic.as_deref(), said.valid), (Some("s/g/m/new"), true), "{said:?}");
        }
    }

    #[test]
    fn devices_that_are_not_there_yet_and_tags_that_move() {
        let tag = r#"{"holding":0,"type":"u16"}"#;
        let said = show("n", "t", tag, r#","section":{"bus":"b","unit":2}"#);
        assert!(said.valid && said.topic.as_deref() == Some("s/g/n/t"), "{said:?}");
        let topic = r#"{"holding":0,"type":"u16","topic":"s/g/m/old"}"#;
        let said = show("m", "new", topic, "");
        assert!(!said.valid && !said.problems.is_empty(), "another tag has the topic: {said:?}");
        let said = show("m", "new", topic, r#","replaces":"old""#);
        assert!(said.valid, "{said:?}");
    }

    #[test]
    fn what_is_wrong_is_said_of_this_tag_alone() {
        let said = show("m", "t", r#"{"holding":0,"type":"float"}"#, "");
        assert_eq!((said.topic, said.valid), (None, false));
        let hints: Vec<_> =
            said.problems.iter().map(|f| serde_json::to_string(f).unwrap()).collect();
        assert!(hints.len() == 1 && hints[0].contains("f32"), "{hints:?}");
    }
}
