//! Which reads of a job go in company: those whose answers can be told apart by more than their id.
//!
//! A server that gives an answer another one's id (that of the request it read last, say) would
//! otherwise put right values under wrong names. So no two reads in flight have answers of the same
//! function and length; of two blocks of one length one is read a little longer, where the device
//! has registers there. Pure.

use std::collections::VecDeque;

use crate::model::Table;
use crate::south::device::Request;

/// Bits that make an answer longer by one byte.
const BITS_STEP: u16 = 8;

/// A read in company.
#[derive(Debug, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) request: Request,
    /// Items read behind the block, to make the answer's length its own.
    pub(crate) pad: u16,
}

/// Takes up to `most` reads out of the job, from the front on; none if it would be one alone.
/// `items_max` is the device's limit, and `tight` says of a block that nothing behind it can be read.
pub(crate) fn choose(
    job: &mut VecDeque<Request>,
    most: usize,
    items_max: impl Fn(Table) -> u16,
    tight: impl Fn(&Request) -> bool,
) -> Vec<Chosen> {
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut lengths: Vec<(Table, u16)> = Vec::new();
    let mut at = 0;
    while chosen.len() < most
        && let Some(request) = job.get(at)
    {
        let pads = if tight(request) { 1 } else { most };
        let own = pads_of(request, pads, items_max(request.table)).find_map(|pad| {
            let length = (request.table, length(request, pad));
            (!lengths.contains(&length)).then_some((pad, length))
        });
        match own.and_then(|own| Some((own, job.remove(at)?))) {
            Some(((pad, length), request)) => {
                lengths.push(length);
                chosen.push(Chosen { request, pad });
            }
            None => at += 1,
        }
    }
    if let [_] = chosen.as_slice()
        && let Some(alone) = chosen.pop()
    {
        job.push_front(alone.request);
    }
    chosen
}

/// What may be read behind the block, nothing first.
fn pads_of(request: &Request, pads: usize, items_max: u16) -> impl Iterator<Item = u16> + use<> {
    let step = if request.table.is_bits() { BITS_STEP } else { 1 };
    let (start, count) = (u32::from(request.block.start), request.block.count);
    (0..u16::try_from(pads).unwrap_or(u16::MAX)).filter_map(move |n| {
        let pad = n.checked_mul(step)?;
        let count = count.checked_add(pad)?;
        let fits = count <= items_max && start + u32::from(count) <= 1 << 16;
        (pad == 0 || fits).then_some(pad)
    })
}

/// Data bytes of the answer.
fn length(request: &Request, pad: u16) -> u16 {
    let count = request.block.count.saturating_add(pad);
    if request.table.is_bits() { count.div_ceil(8) } else { count.saturating_mul(2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::blocks::Block;

    fn job(blocks: &[(Table, u16, u16)]) -> VecDeque<Request> {
        let request = |&(table, start, count): &(Table, u16, u16)| Request {
            table,
            block: Block { start, count, items: Vec::new() },
        };
        blocks.iter().map(request).collect()
    }

    fn chosen(
        blocks: &[(Table, u16, u16)],
        most: usize,
        tight: u16,
    ) -> (Vec<(u16, u16)>, Vec<u16>) {
        let mut job = job(blocks);
        let limit = |table: Table| if table.is_bits() { 2000 } else { 125 };
        let chosen = choose(&mut job, most, limit, |request| request.block.start == tight);
        let starts = job.iter().map(|request| request.block.start).collect();
        (chosen.iter().map(|it| (it.request.block.start, it.pad)).collect(), starts)
    }

    #[test]
    fn blocks_of_one_length_are_read_longer_where_they_may() {
        let of = Table::Holding;
        let blocks = [(of, 0, 10), (of, 20, 10), (of, 40, 11), (of, 60, 10), (of, 80, 10)];
        assert_eq!(chosen(&blocks, 4, 999), (vec![(0, 0), (20, 1), (40, 1), (60, 3)], vec![80]));
        assert_eq!(chosen(&blocks, 2, 20), (vec![(0, 0), (40, 0)], vec![20, 60, 80]));
    }

    #[test]
    fn full_blocks_go_one_by_one_and_never_beyond_the_last_address() {
        let of = Table::Input;
        let full = [(of, 0, 125), (of, 125, 125)];
        assert_eq!(chosen(&full, 4, 999), (vec![], vec![0, 125]));
        let last = [(of, 0, 6), (of, 65_530, 6)];
        assert_eq!(chosen(&last, 4, 999), (vec![], vec![0, 65_530]));
        assert_eq!(chosen(&[(of, 7, 1)], 4, 999), (vec![], vec![7]));
    }

    #[test]
    fn bits_differ_by_bytes_and_tables_by_function() {
        let (coil, holding) = (Table::Coil, Table::Holding);
        let blocks = [(coil, 0, 3), (coil, 100, 8), (coil, 200, 9), (holding, 0, 1)];
        assert_eq!(chosen(&blocks, 4, 999), (vec![(0, 0), (100, 8), (200, 8), (0, 0)], vec![]),);
    }
}
