use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TOPIC: &str = "flows";

fn topic() -> Arc<str> {
    Arc::from(TOPIC)
}

fn at(partition: u32, offset: u64) -> Position {
    Position { topic: topic(), partition, offset }
}

fn resume(partition: u32, next: u64) -> Resume {
    Resume { topic: topic(), partition, next }
}

fn begun(offsets: impl IntoIterator<Item = u64>) -> Watermark {
    let mut watermark = Watermark::new();
    for offset in offsets {
        watermark.begin_at(&topic(), 0, offset);
    }
    watermark
}

#[test]
fn nothing_moves_until_the_lowest_is_finished() {
    let mut watermark = begun(5..10);
    assert_eq!(watermark.advanced(), []);
    for offset in [9, 6, 7] {
        assert!(watermark.finish(&at(0, offset)));
        assert_eq!(watermark.advanced(), []);
    }
    assert_eq!(watermark.in_flight(), 5);
    assert!(watermark.finish(&at(0, 5)));
    assert_eq!(watermark.advanced(), [resume(0, 8)]);
    assert_eq!(watermark.advanced(), []);
    assert!(watermark.finish(&at(0, 8)));
    assert_eq!(watermark.advanced(), [resume(0, 10)]);
    assert_eq!(watermark.positions(), [resume(0, 10)]);
    assert_eq!(watermark.in_flight(), 0);
}

#[test]
fn finishing_twice_or_what_is_unknown_changes_nothing() {
    let mut watermark = begun(0..2);
    assert!(watermark.finish(&at(0, 1)));
    assert!(!watermark.finish(&at(0, 1)));
    assert!(!watermark.finish(&at(0, 7)));
    assert!(!watermark.finish(&at(3, 0)));
    assert_eq!(watermark.positions(), [resume(0, 0)]);
}

#[test]
fn holes_that_a_broker_leaves_are_no_gaps() {
    let mut watermark = begun([3, 4, 9]);
    watermark.finish(&at(0, 3));
    watermark.finish(&at(0, 4));
    assert_eq!(watermark.advanced(), [resume(0, 9)]);
    watermark.finish(&at(0, 9));
    assert_eq!(watermark.advanced(), [resume(0, 10)]);
}

#[test]
fn partitions_move_by_themselves() {
    let mut watermark = begun([0]);
    watermark.begin_at(&topic(), 1, 100);
    watermark.begin_at(&Arc::from("other"), 0, 7);
    watermark.finish(&at(1, 100));
    assert_eq!(watermark.advanced(), [resume(1, 101)]);
    assert_eq!(watermark.positions().len(), 3);
}

#[test]
fn what_is_read_again_is_unfinished_again() {
    let mut watermark = begun(0..5);
    for offset in [0, 1, 3, 4] {
        watermark.finish(&at(0, offset));
    }
    assert_eq!(watermark.advanced(), [resume(0, 2)]);
    // The partition went away and came back: it is read again from 1 on.
    watermark.begin_at(&topic(), 0, 1);
    assert_eq!(watermark.positions(), [resume(0, 1)]);
    watermark.begin_at(&topic(), 0, 2);
    assert!(watermark.finish(&at(0, 1)));
    assert_eq!(watermark.advanced(), [resume(0, 2)]);
    // Finishing the first delivery of 3 says nothing, as 3 was not yet delivered again.
    assert!(!watermark.finish(&at(0, 3)));
    assert!(watermark.finish(&at(0, 2)));
    assert_eq!(watermark.advanced(), [resume(0, 3)]);
}

#[test]
fn a_forgotten_partition_is_gone() {
    let mut watermark = begun(0..3);
    watermark.forget(TOPIC, 0);
    watermark.forget(TOPIC, 0);
    assert!(!watermark.finish(&at(0, 0)));
    assert_eq!((watermark.positions(), watermark.in_flight()), (vec![], 0));
}

/// The slow and obvious version: remembers every delivery since the last rewind and looks through all of them.
#[derive(Default)]
struct Obvious {
    delivered: BTreeMap<u64, bool>,
}

impl Obvious {
    fn begin(&mut self, offset: u64) {
        self.delivered.retain(|known, _| *known < offset);
        self.delivered.insert(offset, false);
    }

    fn finish(&mut self, offset: u64) {
        if let Some(finished) = self.delivered.get_mut(&offset) {
            *finished = true;
        }
    }

    fn next(&self) -> Option<u64> {
        let unfinished = self.delivered.iter().find(|(_, finished)| !**finished).map(|(offset, _)| *offset);
        unfinished.or_else(|| self.delivered.keys().last().map(|last| last + 1))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Deliver { hole: u64 },
    Finish(u64),
    Rewind(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => prop_oneof![9 => Just(0u64), 1 => 1u64..4].prop_map(|hole| Step::Deliver { hole }),
        5 => (0u64..40).prop_map(Step::Finish),
        1 => (0u64..40).prop_map(Step::Rewind),
    ]
}

proptest! {
    #[test]
    fn it_agrees_with_the_obvious_version(steps in prop::collection::vec(step(), 0..120)) {
        let (mut watermark, mut obvious) = (Watermark::new(), Obvious::default());
        let mut end = 0;
        let mut last = None;
        for step in steps {
            match step {
                Step::Deliver { hole } => {
                    let offset = end + hole;
                    watermark.begin_at(&topic(), 0, offset);
                    obvious.begin(offset);
                    end = offset + 1;
                }
                Step::Finish(offset) => {
                    watermark.finish(&at(0, offset));
                    obvious.finish(offset);
                }
                Step::Rewind(to) if to < end => {
                    watermark.begin_at(&topic(), 0, to);
                    obvious.begin(to);
                    end = to + 1;
                    last = None;
                }
                Step::Rewind(_) => {}
            }
            let next = watermark.positions().first().map(|resume| resume.next);
            prop_assert_eq!(next, obvious.next());
            // What is handed out never goes back, unless the partition was read again.
            if let Some(resume) = watermark.advanced().first() {
                prop_assert!(last.is_none_or(|last| resume.next > last));
                prop_assert_eq!(Some(resume.next), next);
                last = Some(resume.next);
            }
            // No unfinished record lies below what may be committed.
            let unfinished = obvious.delivered.iter().any(|(offset, finished)| !finished && Some(*offset) < next);
            prop_assert!(!unfinished);
        }
    }
}
