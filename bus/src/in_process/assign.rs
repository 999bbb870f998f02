//! Who reads which partition: shared evenly, and moved as little as possible, since what moves is delivered again.

/// A member of a group.
pub(super) type MemberId = u64;

/// Returns the reader of each partition, given who read it before and who is there now.
///
/// Members' shares differ by at most one. A partition stays with its reader unless that one is gone or has too many.
pub(super) fn assign(previous: &[Option<MemberId>], members: &[MemberId]) -> Vec<Option<MemberId>> {
    if members.is_empty() {
        return vec![None; previous.len()];
    }
    let floor = previous.len() / members.len();
    // So many members may keep one more than the others.
    let mut extra = previous.len() % members.len();
    let mut shares: Vec<usize> = vec![0; members.len()];
    let mut owners = vec![None; previous.len()];

    for (owner, before) in owners.iter_mut().zip(previous) {
        let Some(index) = before.and_then(|id| members.iter().position(|member| *member == id)) else { continue };
        let Some(share) = shares.get_mut(index) else { continue };
        if *share == floor && extra > 0 {
            extra -= 1;
        } else if *share >= floor {
            continue;
        }
        *share += 1;
        *owner = members.get(index).copied();
    }
    for owner in owners.iter_mut().filter(|owner| owner.is_none()) {
        let Some((index, share)) = shares.iter_mut().enumerate().min_by_key(|(_, share)| **share) else { continue };
        *share += 1;
        *owner = members.get(index).copied();
    }
    owners
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(previous: &[Option<MemberId>], members: &[MemberId], expected: &[Option<MemberId>]) {
        assert_eq!(assign(previous, members), expected);
    }

    #[test]
    fn partitions_are_shared_and_stay_where_they_can() {
        check(&[None, None, None], &[], &[None, None, None]);
        check(&[None, None, None], &[7], &[Some(7), Some(7), Some(7)]);
        // A second member takes one of three.
        check(&[Some(7), Some(7), Some(7)], &[7, 8], &[Some(7), Some(7), Some(8)]);
        // The one that goes leaves its partition to the other; nothing else moves.
        check(&[Some(7), Some(7), Some(8)], &[8], &[Some(8), Some(8), Some(8)]);
        check(&[Some(1), Some(2), Some(3), Some(1)], &[1, 3], &[Some(1), Some(3), Some(3), Some(1)]);
        // More members than partitions: some have none.
        check(&[Some(1)], &[1, 2], &[Some(1)]);
    }

    proptest! {
        #[test]
        fn shares_are_even_and_a_second_look_moves_nothing(
            previous in prop::collection::vec(prop::option::of(0u64..6), 0..20),
            members in prop::collection::btree_set(0u64..6, 1..6),
        ) {
            let members: Vec<_> = members.into_iter().collect();
            let owners = assign(&previous, &members);
            prop_assert_eq!(owners.len(), previous.len());
            let shares: Vec<_> =
                members.iter().map(|member| owners.iter().filter(|owner| **owner == Some(*member)).count()).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), owners.len());
            prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
            prop_assert_eq!(assign(&owners, &members), owners);
        }
    }
}
