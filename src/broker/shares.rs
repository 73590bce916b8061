//! Shared subscriptions: groups of sessions of which one gets each message (MQTT 5.0, 4.8.2).
//!
//! Members take turns. A member that can take the message now goes before one that is behind, and
//! that one before one that is away; if all are away the message waits for one of them.

use std::collections::HashMap;

use super::trie::{Grant, Match, SessionKey, Trie};
use crate::model::TopicFilter;

/// Number of a group; used again after its last member has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey(u32);

/// How well a member could take a message, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// Its session keeps the message until it is back.
    Away,
    /// Connected, with something before this message.
    Behind,
    Ready,
}

#[derive(Default)]
pub struct Shares {
    groups: Vec<Option<Group>>,
    /// Places in `groups` that are free.
    free: Vec<GroupKey>,
    /// By the whole filter, `$share/name/…`: a group is one name and one filter.
    by_name: HashMap<TopicFilter, GroupKey>,
    trie: Trie<GroupKey, ()>,
    members: usize,
}

struct Group {
    members: Vec<Match>,
    /// The member whose turn it is.
    turn: usize,
}

impl Shares {
    /// Subscriptions in all groups.
    pub fn len(&self) -> usize {
        self.members
    }

    /// Adds a member to the group of `name`, or replaces its options. `filter` is the one within.
    pub fn join(
        &mut self,
        name: &TopicFilter,
        filter: &TopicFilter,
        subscriber: SessionKey,
        grant: Grant,
    ) {
        let key = match self.by_name.get(name) {
            Some(key) => *key,
            None => self.found(name, filter),
        };
        let Some(group) = self.group(key) else { return };
        match group.members.iter_mut().find(|member| member.subscriber == subscriber) {
            Some(member) => member.grant = grant,
            None => {
                group.members.push(Match { subscriber, grant });
                self.members += 1;
            }
        }
    }

    fn found(&mut self, name: &TopicFilter, filter: &TopicFilter) -> GroupKey {
        let next = GroupKey(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        let key = self.free.pop().unwrap_or(next);
        if key == next {
            self.groups.push(None);
        }
        if let Some(place) = usize::try_from(key.0).ok().and_then(|at| self.groups.get_mut(at)) {
            *place = Some(Group { members: Vec::new(), turn: 0 });
        }
        self.by_name.insert(name.clone(), key);
        self.trie.insert(filter, key, ());
        key
    }

    /// Takes a member out of the group of `name`.
    pub fn leave(&mut self, name: &TopicFilter, filter: &TopicFilter, subscriber: SessionKey) {
        let Some(&key) = self.by_name.get(name) else { return };
        let Some(group) = self.group(key) else { return };
        let Some(at) = group.members.iter().position(|m| m.subscriber == subscriber) else {
            return;
        };
        group.members.remove(at);
        if group.turn > at {
            group.turn -= 1;
        }
        let is_empty = group.members.is_empty();
        self.members -= 1;
        if is_empty {
            self.trie.remove(filter, key);
            self.by_name.remove(name);
            if let Some(place) = usize::try_from(key.0).ok().and_then(|at| self.groups.get_mut(at))
            {
                *place = None;
            }
            self.free.push(key);
        }
    }

    /// The group of `name`, while it has members.
    pub fn named(&self, name: &TopicFilter) -> Option<GroupKey> {
        self.by_name.get(name).copied()
    }

    /// The groups that want a topic, appended to `found`.
    pub fn matches(&self, topic: &str, found: &mut Vec<Match<GroupKey, ()>>) {
        if self.members > 0 {
            self.trie.matches(topic, found);
        }
    }

    /// The member that gets the next message; `None` if none of them can take it.
    pub fn choose(
        &mut self,
        key: GroupKey,
        readiness: impl Fn(&Match) -> Option<Readiness>,
    ) -> Option<Match> {
        let group = self.group(key)?;
        let count = group.members.len();
        let mut best: Option<(Readiness, usize, Match)> = None;
        for step in 0..count {
            let at = (group.turn + step) % count;
            let Some(member) = group.members.get(at) else { continue };
            let Some(ready) = readiness(member) else { continue };
            if best.is_none_or(|(so_far, ..)| ready > so_far) {
                best = Some((ready, at, *member));
            }
            if ready == Readiness::Ready {
                break;
            }
        }
        let (_, at, member) = best?;
        group.turn = (at + 1) % count;
        Some(member)
    }

    fn group(&mut self, key: GroupKey) -> Option<&mut Group> {
        self.groups.get_mut(usize::try_from(key.0).ok()?)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Qos;

    const GRANT: Grant =
        Grant { qos: Qos::AtLeastOnce, no_local: false, retain_as_published: false, id: 0 };

    fn group(members: &[u32]) -> (Shares, TopicFilter, TopicFilter) {
        let name = TopicFilter::new("$share/g/t").unwrap();
        let filter = name.shared().unwrap();
        let mut shares = Shares::default();
        for member in members {
            shares.join(&name, &filter, SessionKey(*member), GRANT);
        }
        (shares, name, filter)
    }

    fn chosen(shares: &mut Shares, ready: &[(u32, Readiness)]) -> Option<u32> {
        let mut found = Vec::new();
        shares.matches("t", &mut found);
        let key = found.first()?.subscriber;
        let readiness =
            |m: &Match| ready.iter().find(|(key, _)| m.subscriber.0 == *key).map(|(_, r)| *r);
        shares.choose(key, readiness).map(|member| member.subscriber.0)
    }

    #[test]
    fn members_take_turns_and_the_best_goes_first() {
        use Readiness::{Away, Behind, Ready};
        let (mut shares, name, filter) = group(&[1, 2, 3]);
        let all = [(1, Ready), (2, Ready), (3, Ready)];
        let turns: Vec<_> = (0..6).filter_map(|_| chosen(&mut shares, &all)).collect();
        assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
        assert_eq!(chosen(&mut shares, &[(1, Away), (2, Behind), (3, Ready)]), Some(3));
        assert_eq!(chosen(&mut shares, &[(1, Away), (2, Behind)]), Some(2));
        assert_eq!(chosen(&mut shares, &[(1, Away)]), Some(1));
        assert_eq!(chosen(&mut shares, &[]), None);
        shares.leave(&name, &filter, SessionKey(2));
        let turns: Vec<_> = (0..3).filter_map(|_| chosen(&mut shares, &all)).collect();
        assert_eq!(turns, [3, 1, 3]);
    }

    #[test]
    fn a_group_without_members_is_gone() {
        let (mut shares, name, filter) = group(&[1, 1, 2]);
        assert_eq!(shares.len(), 2);
        for member in [1, 2, 2] {
            shares.leave(&name, &filter, SessionKey(member));
        }
        assert_eq!((shares.len(), shares.trie.len(), shares.by_name.len()), (0, 0, 0));
        assert_eq!(chosen(&mut shares, &[(1, Readiness::Ready)]), None);
        let (name, filter) = (TopicFilter::new("$share/h/t").unwrap(), filter);
        shares.join(&name, &filter, SessionKey(7), GRANT);
        assert_eq!(shares.groups.len(), 1, "its place is used again");
        assert_eq!(chosen(&mut shares, &[(7, Readiness::Ready)]), Some(7));
    }
}
