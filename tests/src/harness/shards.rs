//! Which worker has which shards.

use super::{
    wait::{LONG, wait_until},
    world::World,
};

/// Waits until so many workers live, and all shards are split evenly among them.
pub async fn owned_evenly(world: &World, workers: usize) {
    wait_until("the shards to be split evenly", LONG, || async {
        let owned: Vec<i64> = sqlx::query_scalar(
            "select count(s.shard) from relay.workers w
             left join relay.shard_owners s on s.worker = w.worker
             where w.until > now() group by w.worker",
        )
        .fetch_all(world.sql())
        .await
        .expect("the database answers");
        let (least, most) = (64 / workers as i64, 64_usize.div_ceil(workers) as i64);
        let is_even = owned.iter().all(|count| (least..=most).contains(count));
        (is_even && owned.len() == workers && owned.iter().sum::<i64>() == 64).then_some(())
    })
    .await;
}
