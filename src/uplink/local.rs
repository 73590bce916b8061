//! What comes from the cloud for the clients of this network: its topic here, and what never gets
//! here.
//!
//! No loops, by two rules. What is published here in this way is never sent up again, by this uplink
//! or another (the LAN broker forwards what its clients publish, and nothing else). And where
//! gateways stand in a ring, each the cloud of the next, a topic that holds the levels it is put
//! under here has been here before: it ends.

use super::client::Received;
use crate::config::{LocalPlan, UplinkPlan};
use crate::model::{FromCloud, TopicName, Turned};

/// A received publish as a message for this network; `None` if no filter is for it. The uplink's
/// `prefix` is taken off; a topic without it is taken as it is.
pub fn message(publish: &Received, plan: &UplinkPlan) -> Option<Result<FromCloud, Turned>> {
    let local = plan.local.iter().find(|local| local.filter.matches(&publish.topic))?;
    let topic = publish.topic.strip_prefix(plan.prefix.as_str()).unwrap_or(&publish.topic);
    Some(topic_here(topic, local).map(|topic| FromCloud {
        topic,
        payload: publish.payload.to_vec(),
        qos: publish.qos,
        retain: local.retain,
    }))
}

fn topic_here(topic: &str, local: &LocalPlan) -> Result<TopicName, Turned> {
    let under = local.under.as_str();
    if format!("/{topic}/").contains(&format!("/{under}/")) {
        return Err(Turned::Looped);
    }
    TopicName::new(&format!("{under}/{topic}")).map_err(|_| Turned::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Qos, TopicFilter};

    #[test]
    fn a_topic_is_put_under_another_and_never_twice() {
        let local = |under: &str| LocalPlan {
            filter: TopicFilter::new("#").unwrap(),
            under: TopicName::new(under).unwrap(),
            qos: Qos::AtLeastOnce,
            retain: false,
        };
        let here = |topic: &str, under| topic_here(topic, &local(under)).map(|t| t.to_string());
        assert_eq!(here("recipes/5", "cloud").as_deref(), Ok("cloud/recipes/5"));
        assert_eq!(here("/x", "from/hq").as_deref(), Ok("from/hq//x"));
        assert_eq!(here("$SYS/x", "cloud").as_deref(), Ok("cloud/$SYS/x"));
        for (topic, under) in [
            ("cloud/x", "cloud"),
            ("b/cloud/x", "cloud"),
            ("b/cloud", "cloud"),
            ("cloud", "cloud"),
            ("a/from/hq/x", "from/hq"),
        ] {
            assert_eq!(here(topic, under), Err(Turned::Looped), "{topic}");
        }
        for (topic, under) in
            [("clouds/x", "cloud"), ("my-cloud", "cloud"), ("from/x/hq", "from/hq")]
        {
            assert!(here(topic, under).is_ok(), "{topic} only resembles it");
        }
        assert_eq!(here(&"x".repeat(65_535), "cloud"), Err(Turned::TooLong));
    }
}
