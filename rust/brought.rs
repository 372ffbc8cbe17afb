//! Brought: rows copied together in the order of their visits, some at a time and ahead of the steps, by whoever has
//! time (`relay`). Random visits wait for memory; steps then need not, and a second processor waits beside the first.

use std::sync::{Mutex, PoisonError};

use crate::data::{Dense, Pick, Problem, Rows};
use crate::error::Error;
use crate::kernels::{self, Bond, Bound, Columns, Eight, Set, TURN, ask_for_huge_pages, untouched};
use crate::observe::{LookUp, Watch};
use crate::relay::Relay;
use crate::sampler::WORTH;
use crate::threads::{each_part, parts};
use crate::turned::Turned;

/// Bytes of rows from which they are brought: fewer are in the caches wherever they lie.
const LEAST_BYTES: usize = 1 << 20;
/// Features at most: longer rows are as quickly visited where they lie.
const LONGEST: usize = 256;
/// Features up to which rows are turned that are in the caches anyway.
const NEAR: usize = 8;
/// Bytes of a chunk, of which there are a few: about what the second-level cache holds. Batches of more are not
/// brought.
const CHUNK_BYTES: usize = 1 << 20;
/// Rows that are brought between two looks at their targets.
const TOGETHER: usize = 32;
const MOST_BYTES: usize = 1 << 22;

/// Bytes of a copy of all rows at most, and visits of a row that repay it.
const MOST_COPIED: usize = 1 << 31;
const REPAID: u64 = 2;
/// Rows that are copied between two looks at the clock.
const BLOCK: usize = 256;

/// All rows one after the other, if their numbers lie in many places, that is worth its time for `visits` of each, and
/// there is memory for it.
///
/// # Errors
/// What `watch` answers.
pub fn together(problem: &Problem, visits: u64, threads: usize, watch: &mut Watch) -> Result<Option<Vec<f64>>, Error> {
    let (n, d) = (problem.n, problem.rows.d());
    let fits = n.saturating_mul(d) <= MOST_COPIED / size_of::<f64>();
    if !(problem.rows.apart() && fits && visits >= REPAID) {
        return Ok(None);
    }
    let Some(mut values) = untouched(n * d) else { return Ok(None) };
    ask_for_huge_pages(&mut values);
    let ranges = parts(n, 1);
    let size = ranges.clone().next().map_or(1, |part| part.len());
    let rooms: Vec<_> = values.chunks_mut(size * d).map(Mutex::new).collect();
    each_part(ranges, 8 * d, threads, watch, |part, watch| {
        let mut room = rooms[part.start / size].lock().unwrap_or_else(PoisonError::into_inner);
        for (pick, room) in Pick::Run(part).blocks(BLOCK).zip(room.chunks_mut(BLOCK * d)) {
            problem.rows.fill(&pick, d, room);
            watch.tick(room.len())?;
        }
        Ok(())
    })?;
    drop(rooms);
    Ok(Some(values))
}

/// How rows are put together.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// One after the other, in whole lanes.
    Lines,
    /// The same for rows that take turns, with |x|^2 or without.
    Bound { squares: bool },
    /// In columns of eight, batch by batch.
    Columns,
}

/// Some rows together, with their targets and weights.
#[derive(Default)]
struct Chunk {
    bound: Bound,
    eights: Vec<Eight>,
    y: Vec<f64>,
    weight: Vec<f64>,
    count: usize,
}

/// Rows on their way.
pub struct Brought<'a> {
    problem: &'a Problem<'a>,
    set: Set,
    relay: Relay<Chunk>,
    /// Rows of a batch, and of a chunk, which are whole batches.
    batch: usize,
    size: usize,
    form: Form,
}

/// Part of an epoch: rows in the order of their visits, of which `from` came before.
pub struct Stretch<'a> {
    pub problem: &'a Problem<'a>,
    pub rows: Pick<'a>,
    pub from: usize,
    /// All of them, if they take turns.
    pub bound: Option<&'a Bound>,
}

impl<'a> Stretch<'a> {
    /// How many rows of the epoch come before the next stretch.
    pub fn end(&self) -> usize {
        self.from + self.rows.len()
    }

    /// At most so many rows, `first` being the place in the epoch of the first.
    pub fn some(&self, first: usize, count: usize) -> Pick<'a> {
        self.rows.part(first - self.from..(first.saturating_add(count)).min(self.end()) - self.from)
    }
}

impl<'a> Brought<'a> {
    /// The rows of a problem for visits in batches of `batch`, if bringing them is worth it; `bound` where they take
    /// turns, and then whether |x|^2 is asked for; `plain` where batches are stepped by without a gradient.
    pub fn worth(
        problem: &'a Problem<'a>,
        batch: usize,
        (bound, plain): (Option<bool>, bool),
        set: Set,
        threads: usize,
    ) -> Option<Self> {
        let d = problem.d;
        let (row, lanes) = (size_of::<f64>() * d, size_of::<f64>() * Bound::stride(d));
        let large = problem.n.saturating_mul(row) >= LEAST_BYTES;
        let by_columns = plain && batch > 1 && Columns::takes(d) && (large || d <= NEAR);
        let (form, bytes) = match bound {
            Some(squares) => (Form::Bound { squares }, lanes + size_of::<Bond>() / TURN),
            None if by_columns => (Form::Columns, size_of::<Eight>() * d * batch.div_ceil(8) / batch),
            None => (Form::Lines, lanes),
        };
        let bytes = bytes + size_of::<f64>() * (problem.told + usize::from(!problem.weight.is_empty()));
        let worth = (large || form == Form::Columns) && batch.saturating_mul(bytes) <= MOST_BYTES;
        if !worth || d > LONGEST || problem.rows.sparse().is_some() {
            return None;
        }
        let size = (CHUNK_BYTES / bytes).max(1).next_multiple_of(TURN).next_multiple_of(batch);
        let relay = Relay::new(threads > 1 && (large || problem.n >= WORTH));
        Some(Brought { problem, set, relay, batch, size, form })
    }

    /// An epoch in this order: `take` gets stretch after stretch and answers whether to go on. A second thread does
    /// `first` before it helps.
    ///
    /// # Errors
    /// The first that `take` answers, and lack of memory.
    pub fn epoch(
        &self,
        order: &Pick,
        first: impl FnOnce(&mut LookUp) + Send,
        mut take: impl FnMut(Stretch) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let (n, d) = (order.len(), self.problem.rows.d());
        let part = |k: usize| k * self.size..n.min((k + 1) * self.size);
        let mut from = 0;
        self.relay.pass(
            n.div_ceil(self.size),
            first,
            |k, chunk| self.bring(&order.part(part(k)), chunk),
            |Chunk { bound, eights, y, weight, count }| {
                let (run, first) = (Pick::Run(0..*count), from);
                from += *count;
                let mut give = |rows: &dyn Rows, bound| {
                    let own = Problem { rows, y, weight, ..*self.problem };
                    take(Stretch { problem: &own, rows: run.clone(), from: first, bound })
                };
                if self.form == Form::Columns {
                    let columns = Columns { eights, size: self.batch, count: *count };
                    return give(&Turned::new(columns, d, self.set), None);
                }
                let rows = Dense::every(bound.rows(), d, Bound::stride(d))?.on(self.set);
                give(&rows, (self.form != Form::Lines).then_some(&*bound))
            },
        )
    }

    fn bring(&self, pick: &Pick, chunk: &mut Chunk) -> Result<(), Error> {
        let (Problem { rows, y, told, weight, .. }, d) = (*self.problem, self.problem.rows.d());
        chunk.count = pick.len();
        for (values, count) in [(&mut chunk.y, pick.len() * told), (&mut chunk.weight, pick.len().min(weight.len()))] {
            values.clear();
            let memory = |_| Error::Memory { what: "the next targets", bytes: size_of::<f64>() * count };
            values.try_reserve_exact(count).map_err(memory)?;
        }
        rows.ask(pick);
        // targets are asked for beside the rows, as memory has room for more than the lines of these
        let mut targets = |pick: &Pick| {
            pick.append(y, told, &mut chunk.y);
            if !weight.is_empty() {
                pick.append(weight, 1, &mut chunk.weight);
            }
        };
        let room = match self.form {
            Form::Columns => {
                let of_batch = self.batch.div_ceil(8) * d;
                let all = self.size.min(self.problem.n).div_ceil(self.batch) * of_batch;
                if chunk.eights.is_empty() {
                    let bytes = size_of::<Eight>() * all;
                    chunk.eights.try_reserve_exact(all).map_err(|_| Error::Memory { what: "the next rows", bytes })?;
                    chunk.eights.resize(all, Eight::default());
                }
                let (some, mut room) = (TOGETHER.next_multiple_of(self.batch), Vec::new());
                let eights = chunk.eights.chunks_mut(some / self.batch * of_batch);
                for (pick, out) in pick.blocks(some).zip(eights) {
                    match rows.short(&pick) {
                        Some(lines) => kernels::by_eights(self.set, lines, d, self.batch, out),
                        None => kernels::by_eights(self.set, rows.block(&pick, &mut room), d, self.batch, out),
                    }
                    targets(&pick);
                }
                return Ok(());
            }
            Form::Lines | Form::Bound { .. } => chunk.bound.room(pick.len(), d)?,
        };
        let stride = Bound::stride(d);
        for (pick, room) in pick.blocks(TOGETHER).zip(room.chunks_mut(TOGETHER * stride)) {
            rows.fill(&pick, stride, room);
            targets(&pick);
        }
        if let Form::Bound { squares } = self.form {
            chunk.bound.bind(self.set, squares);
        }
        Ok(())
    }
}
