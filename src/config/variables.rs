//! One configuration for a whole fleet: `${line}` stands for what this gateway's site says of it.
//!
//! Values are filled in where they stand in the tree, before anything is checked, so that problems are
//! told at the place in the template and a value means the same as if it were written there. Keys are
//! never changed. Pure: the values of the environment come in.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Beside;
use super::problem::{Complaint, Findings, Origin, Spot, closest};
use super::raw::{self, Content, Node, Place};
use super::values::quoted;

/// The key whose entries are the variables.
const KEY: &str = "variables";
const ENV: &str = "env:";
/// Variables of one configuration.
const VARIABLES_MAX: usize = 1_000;

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables of a configuration: written in it, or in a file beside it that it names.
pub(super) fn known(
    root: &Node,
    beside: &dyn Beside,
    out: &mut Findings,
) -> BTreeMap<String, String> {
    let Content::Map(pairs) = &root.content else { return BTreeMap::new() };
    let is_key = |node: &Node| matches!(&node.content, Content::Scalar(key) if key == KEY);
    let Some((_, value)) = pairs.iter().find(|(key, _)| is_key(key)) else {
        return BTreeMap::new();
    };
    let Content::Scalar(name) = &value.content else { return read(value, None, out) };
    let (file, text) = beside.text(name);
    let origin = Rc::new(Origin { file: file.as_str().into(), user: None });
    let tree = text.and_then(|text| {
        raw::tree(&text).map_err(|error| (error.at, Complaint::new(error.message)))
    });
    match tree {
        Ok(tree) => read(&tree, Some(&origin), out),
        // That there is no such file is a problem of the line that names it.
        Err((at, complaint)) if at == Place::default() => {
            let message = format!("{file} {}", complaint.message);
            out.error(&spot(value.at, None), Complaint::new(message));
            BTreeMap::new()
        }
        Err((at, complaint)) => {
            out.error(&Spot { origin: Some(origin), ..Spot::at(at) }, complaint);
            BTreeMap::new()
        }
    }
}

/// The variables of a mapping: names and single values.
fn read(node: &Node, origin: Option<&Rc<Origin>>, out: &mut Findings) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    let mut wrong = |at: Place, what: &str| out.error(&spot(at, origin), Complaint::new(what));
    let pairs = match &node.content {
        Content::Map(pairs) => pairs.as_slice(),
        Content::Null => &[],
        _ => {
            wrong(node.at, "variables are a mapping of names to values, or the name of a file");
            &[]
        }
    };
    if pairs.len() > VARIABLES_MAX {
        wrong(node.at, "there are more than 1000 variables");
    }
    for (key, value) in pairs.iter().take(VARIABLES_MAX) {
        match (&key.content, &value.content) {
            (Content::Scalar(name), Content::Scalar(text)) if is_name(name) => {
                if known.insert(name.clone(), text.clone()).is_some() {
                    wrong(key.at, "is written twice");
                }
            }
            (Content::Scalar(name), _) if is_name(name) => {
                wrong(value.at, "a variable stands for a single value");
            }
            _ => wrong(key.at, "the name of a variable has letters, digits, '_' and '-'"),
        }
    }
    known
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

fn spot(at: Place, origin: Option<&Rc<Origin>>) -> Spot {
    match origin {
        Some(origin) => Spot { origin: Some(Rc::clone(origin)), ..Spot::at(at) },
        None => Spot { path: KEY.into(), ..Spot::at(at) },
    }
}

/// Fills in every value below `node`.
pub(super) fn fill(
    node: &mut Node,
    known: &BTreeMap<String, String>,
    environment: Environment<'_>,
    out: &mut Findings,
) {
    match &mut node.content {
        Content::Null => {}
        Content::Scalar(text) => match filled(text, known, environment) {
            Ok(None) => {}
            Ok(Some(new)) => *text = new,
            Err(complaint) => out.error(&Spot::at(node.at), complaint),
        },
        Content::List(items) => {
            for item in items {
                fill(item, known, environment, out);
            }
        }
        Content::Map(pairs) => {
            for (key, value) in pairs {
                if !matches!(&key.content, Content::Scalar(key) if key == KEY) {
                    fill(value, known, environment, out);
                }
            }
        }
    }
}

/// `None` where nothing stands for anything. `$${` is a `${` that stays.
fn filled(
    text: &str,
    known: &BTreeMap<String, String>,
    environment: Environment<'_>,
) -> Result<Option<String>, Complaint> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut new = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            new.push_str(before);
            new.push_str("${");
            rest = after;
            continue;
        }
        new.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            return Err(Complaint::new("a \"${\" is not closed").hint("write $${ for the text ${"));
        };
        new.push_str(&value(name, known, environment)?);
        rest = tail;
    }
    new.push_str(rest);
    Ok(Some(new))
}

fn value(
    name: &str,
    known: &BTreeMap<String, String>,
    environment: Environment<'_>,
) -> Result<String, Complaint> {
    if let Some(variable) = name.strip_prefix(ENV) {
        return environment(variable).ok_or_else(|| {
            let message = format!("the environment has no {}", quoted(variable));
            Complaint::new(message).hint("set it where the gateway is started")
        });
    }
    if let Some(value) = known.get(name) {
        return Ok(value.clone());
    }
    let complaint = Complaint::new(format!("nothing says what ${{{name}}} is"));
    Err(match closest(name, known.keys().map(String::as_str)) {
        Some(close) => complaint.hint(format!("did you mean ${{{close}}}?")),
        None => complaint.hint(format!("write it under {KEY}: {{ {name}: … }}, or in its file")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_in(text: &str) -> Result<Option<String>, String> {
        let known = [("site", "berlin"), ("line", "4")].map(|(k, v)| (k.into(), v.into())).into();
        let environment = |name: &str| (name == "HALL").then(|| "b".to_owned());
        filled(text, &known, &environment).map_err(|complaint| match complaint.hint {
            Some(hint) => format!("{}; {hint}", complaint.message),
            None => complaint.message,
        })
    }

    #[test]
    fn what_is_known_is_filled_in() {
        for (text, want) in [
            ("plain {site}", None),
            ("${site}", Some("berlin")),
            ("l${line}-${site}", Some("l4-berlin")),
            ("${env:HALL}/x", Some("b/x")),
            ("$${site} ${line}", Some("${site} 4")),
            ("$5", None),
        ] {
            assert_eq!(fill_in(text), Ok(want.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        for (text, want) in [
            ("${lin}", "nothing says what ${lin} is; did you mean ${line}?"),
            (
                "${hall}",
                "nothing says what ${hall} is; write it under variables: { hall: … }, or in its file",
            ),
            ("${env:NO}", "the environment has no \"NO\"; set it where the gateway is started"),
            ("a ${site", "a \"${\" is not closed; write $${ for the text ${"),
        ] {
            assert_eq!(fill_in(text), Err(want.to_owned()), "{text}");
        }
    }
}
