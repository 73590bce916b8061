//! What changes mean, apart from any text: the yardstick for what was done to one.

use super::value::{Step, Value};
use super::{BY_HAND, Edit, Refusal};

/// The smallest changes: each touches one entry or item.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Small {
    /// Replaces what is there, or adds it with the keys that lead to it.
    Put {
        path: Vec<Step>,
        value: Value,
    },
    /// Puts an item into a list; the path ends with its place.
    Insert {
        path: Vec<Step>,
        value: Value,
    },
    Remove {
        path: Vec<Step>,
    },
    Rename {
        path: Vec<Step>,
        to: String,
    },
}

impl Small {
    pub(super) fn path(&self) -> &[Step] {
        match self {
            Self::Put { path, .. }
            | Self::Insert { path, .. }
            | Self::Remove { path }
            | Self::Rename { path, .. } => path,
        }
    }
}

/// Whether the change can be made at all.
pub(super) fn check(root: &Value, edit: &Edit) -> Result<(), Refusal> {
    let path = edit.path();
    let refuse = |reason: &str, hint| Err(edit.refusal(reason, hint));
    let Some((last, above)) = path.split_last() else {
        return match edit {
            Edit::Set { value: Value::Map(_), .. } => Ok(()),
            _ => refuse("the configuration as a whole is a mapping", "give a path"),
        };
    };
    match edit {
        Edit::Set { .. } => {
            for depth in 0..path.len() {
                let (Some(above), Some(step)) = (path.get(..depth), path.get(depth)) else { break };
                match root.at(above) {
                    None => break,
                    Some(Value::Null | Value::Map(_)) => {}
                    Some(Value::List(items)) => {
                        if step.index().is_none_or(|index| index > items.len()) {
                            return refuse("the list has no such place", "give its place from 0");
                        }
                    }
                    Some(_) => {
                        return refuse("a single value stands there, which has no parts", BY_HAND);
                    }
                }
            }
            Ok(())
        }
        Edit::Remove { .. } if root.at(path).is_none() => refuse("nothing is there", BY_HAND),
        Edit::Remove { .. } => Ok(()),
        Edit::Rename { to, .. } => match root.at(above) {
            Some(parent @ Value::Map(_)) if parent.get(&last.key()).is_some() => {
                if *to == last.key() || parent.get(to).is_none() {
                    return Ok(());
                }
                refuse("another one has that name", "choose another name")
            }
            _ => refuse("nothing is there", BY_HAND),
        },
    }
}

/// The small changes that make up this one, each for the value that the ones before left.
pub(super) fn smallest(root: &Value, edit: &Edit) -> Vec<Small> {
    match edit.clone() {
        Edit::Set { path, value } => {
            let mut out = Vec::new();
            match root.at(&path) {
                Some(old) => towards(old, &value, &path, &mut out),
                None => out.push(Small::Put { path, value }),
            }
            out
        }
        Edit::Remove { path } => vec![Small::Remove { path }],
        Edit::Rename { path, to } => {
            let same = path.last().is_none_or(|last| last.key() == to);
            if same { Vec::new() } else { vec![Small::Rename { path, to }] }
        }
    }
}

fn towards(old: &Value, new: &Value, path: &[Step], out: &mut Vec<Small>) {
    let below = |step: Step| [path, &[step]].concat();
    match (old, new) {
        (old, new) if old.means(new) => {}
        (Value::Map(olds), Value::Map(news)) if !news.is_empty() => {
            for (key, value) in news {
                let path = below(Step::Key(key.clone()));
                match old.get(key) {
                    Some(old) => towards(old, value, &path, out),
                    None => out.push(Small::Put { path, value: value.clone() }),
                }
            }
            for (key, _) in olds.iter().filter(|(key, _)| new.get(key).is_none()) {
                out.push(Small::Remove { path: below(Step::Key(key.clone())) });
            }
        }
        (Value::Null, Value::Map(news)) if path.is_empty() => {
            for (key, value) in news {
                let path = below(Step::Key(key.clone()));
                out.push(Small::Put { path, value: value.clone() });
            }
        }
        (Value::List(olds), Value::List(news)) if !olds.is_empty() && !news.is_empty() => {
            list(olds, news, &below, out);
        }
        _ => out.push(Small::Put { path: path.to_vec(), value: new.clone() }),
    }
}

/// What is alike at both ends stays; from the back, so that places stay those of the old list.
fn list(olds: &[Value], news: &[Value], below: &dyn Fn(Step) -> Vec<Step>, out: &mut Vec<Small>) {
    let shorter = olds.len().min(news.len());
    let head = olds.iter().zip(news).take_while(|(a, b)| a.means(b)).count();
    let backwards = olds.iter().rev().zip(news.iter().rev());
    let tail = backwards.take_while(|(a, b)| a.means(b)).count().min(shorter - head);
    let (old_end, new_end) = (olds.len() - tail, news.len() - tail);
    let both = head + (old_end.min(new_end) - head);
    for index in (both..old_end).rev() {
        out.push(Small::Remove { path: below(Step::Index(index)) });
    }
    for value in news.iter().take(new_end).skip(both).rev() {
        out.push(Small::Insert { path: below(Step::Index(both)), value: value.clone() });
    }
    let pairs = olds.iter().zip(news).enumerate().take(both).skip(head);
    for (index, (old, new)) in pairs.collect::<Vec<_>>().into_iter().rev() {
        towards(old, new, &below(Step::Index(index)), out);
    }
}

/// Makes a small change.
pub(super) fn apply(root: &mut Value, change: &Small) {
    let Some((last, above)) = change.path().split_last() else { return };
    let create = matches!(change, Small::Put { .. });
    let Some(parent) = walk(root, above, create) else { return };
    match (parent, change) {
        (Value::List(items), change) => {
            let Some(index) = last.index() else { return };
            match change {
                Small::Put { value, .. } => match items.get_mut(index) {
                    Some(item) => *item = value.clone(),
                    None => items.push(value.clone()),
                },
                Small::Insert { value, .. } => items.insert(index.min(items.len()), value.clone()),
                Small::Remove { .. } if index < items.len() => drop(items.remove(index)),
                Small::Remove { .. } | Small::Rename { .. } => {}
            }
        }
        (Value::Map(entries), change) => {
            let key = last.key();
            let found = entries.iter().position(|(known, _)| *known == key);
            let entry = found.and_then(|index| entries.get_mut(index));
            match (change, entry, found) {
                (Small::Put { value, .. }, Some(entry), _) => entry.1 = value.clone(),
                (Small::Put { value, .. }, None, _) => {
                    entries.push((key.into_owned(), value.clone()));
                }
                (Small::Rename { to, .. }, Some(entry), _) => entry.0.clone_from(to),
                (Small::Remove { .. }, _, Some(index)) => drop(entries.remove(index)),
                _ => {}
            }
        }
        _ => {}
    }
}

/// What a path leads to, with the mappings that are missing on the way.
fn walk<'v>(root: &'v mut Value, path: &[Step], create: bool) -> Option<&'v mut Value> {
    let mut value = root;
    if create && matches!(value, Value::Null) {
        *value = Value::Map(Vec::new());
    }
    for step in path {
        value = match value {
            Value::List(items) => {
                let index = step.index()?;
                if create && index == items.len() {
                    items.push(Value::Null);
                }
                items.get_mut(index)?
            }
            Value::Map(entries) => {
                let key = step.key();
                if create && !entries.iter().any(|(known, _)| *known == key) {
                    entries.push((key.clone().into_owned(), Value::Null));
                }
                &mut entries.iter_mut().find(|(known, _)| *known == key)?.1
            }
            _ => return None,
        };
        if create && matches!(value, Value::Null) {
            *value = Value::Map(Vec::new());
        }
    }
    Some(value)
}
