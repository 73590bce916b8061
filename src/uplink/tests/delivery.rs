//! What is sent, in which order, and what is not.

use super::fake::{Fake, WELL};
use super::world::{World, eventually, plan, rows};

#[tokio::test]
async fn backlog_goes_columnar_and_live_goes_by_tag() {
    let fake = Fake::new([WELL]).await;
    let mut world = World::new();
    world.append(50);
    let running = world.start(plan(&fake));
    running.until_nothing_waits().await;
    world.append(3);
    running.until_nothing_waits().await;
    world.check_nothing_lost(&fake);
    let (backlog, live): (Vec<_>, Vec<_>) = fake
        .log(|log| log.seen.iter().cloned().partition(|seen| seen.publish.topic == "site/backlog"));
    assert!(backlog.len() < 20, "{} messages for 500 rows", backlog.len());
    let topics: Vec<_> = live.iter().map(|seen| seen.publish.topic.as_str()).collect();
    assert_eq!(topics.len(), 30);
    assert_eq!(topics[..2], ["site/press/tag0", "site/press/tag1"]);
    assert!(live.iter().all(|seen| !seen.publish.retain));
    for lane in [backlog, live] {
        let seqs: Vec<_> = lane
            .iter()
            .flat_map(|seen| rows(seen, world.store.epoch()))
            .map(|(seq, _)| seq)
            .collect();
        assert!(seqs.is_sorted(), "each lane from old to new");
    }
    let status = running.stop().await;
    eventually("said goodbye", || fake.log(|log| log.disconnects) == 1).await;
    assert_eq!((status.duplicates_possible, status.acked_rows), (0, 530));
}
