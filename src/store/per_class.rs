//! One of a thing for each class.

use crate::model::Class;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PerClass<T> {
    alarm: T,
    normal: T,
    bulk: T,
}

impl<T> PerClass<T> {
    pub fn from_fn(mut make: impl FnMut(Class) -> T) -> Self {
        Self { alarm: make(Class::Alarm), normal: make(Class::Normal), bulk: make(Class::Bulk) }
    }

    pub fn get(&self, class: Class) -> &T {
        match class {
            Class::Alarm => &self.alarm,
            Class::Normal => &self.normal,
            Class::Bulk => &self.bulk,
        }
    }

    pub fn get_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Alarm => &mut self.alarm,
            Class::Normal => &mut self.normal,
            Class::Bulk => &mut self.bulk,
        }
    }
}

/// The order in which classes lose data when room runs out.
pub const FIRST_TO_GO: [Class; 3] = [Class::Bulk, Class::Normal, Class::Alarm];
