//! What effects wait for.

use node::services::gate::{Barrier, Next, Ticket};

fn next(barrier: &mut Barrier<u32, &'static str>) -> Result<(u64, Vec<u32>), &'static str> {
    match barrier.release().expect("something is to be done") {
        Next::Save { ticket, records } => Ok((ticket.0, records)),
        Next::Do(effect) => Err(effect),
    }
}

#[test]
fn an_effect_waits_for_all_that_came_before_it() {
    let mut barrier = Barrier::default();
    barrier.save(1);
    barrier.hold("first");
    barrier.save(2);
    barrier.hold("second");
    assert_eq!(next(&mut barrier), Ok((1, vec![1])));
    assert_eq!(next(&mut barrier), Ok((2, vec![2])));
    assert!(barrier.release().is_none());
    barrier.durable(Ticket(1));
    assert_eq!(next(&mut barrier), Err("first"));
    assert!(barrier.release().is_none());
    barrier.durable(Ticket(2));
    assert_eq!(next(&mut barrier), Err("second"));
}

#[test]
fn what_can_wait_is_saved_in_its_order_with_what_cannot() {
    let mut barrier = Barrier::default();
    barrier.save_late(1);
    barrier.hold("at once");
    assert_eq!(next(&mut barrier), Err("at once"));
    assert!(barrier.release().is_none() && barrier.has_late());
    barrier.save_late(2);
    barrier.save(3);
    barrier.save_late(4);
    barrier.hold("later");
    assert_eq!(next(&mut barrier), Ok((1, vec![1, 2, 3, 4])));
    assert!(barrier.release().is_none() && !barrier.has_late());
    barrier.save_late(5);
    barrier.flush();
    assert_eq!(next(&mut barrier), Ok((2, vec![5])));
    barrier.flush();
    assert!(barrier.release().is_none());
    barrier.durable(Ticket(1));
    assert_eq!(next(&mut barrier), Err("later"));
}

/// Too much of it cannot wait any more.
#[test]
fn what_can_wait_is_bounded() {
    let mut barrier = Barrier::default();
    let saved = (0..10_000).filter(|record| {
        barrier.save_late(*record);
        matches!(barrier.release(), Some(Next::<_, ()>::Save { .. }))
    });
    assert_eq!(saved.count(), 10);
}
