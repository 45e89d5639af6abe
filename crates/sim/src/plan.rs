//! What goes wrong in a world, and at which of its effects.

use wire::dice::Dice;

use crate::table::Table;

/// What something is called.
type Name<T> = fn(T) -> &'static str;

/// All that goes wrong in a kind of worlds, and all effects at which it does.
pub(crate) struct Grid<F: 'static, P: 'static> {
    pub(crate) faults: &'static [F],
    pub(crate) points: &'static [P],
    pub(crate) names: (Name<F>, Name<P>),
    /// So often an effect comes about in a world: something may go wrong at any of them.
    pub(crate) usual: fn(P) -> usize,
    /// Cells that each world aims at; worlds of consecutive seeds aim at all of them.
    pub(crate) aims: usize,
}

impl<F: Copy, P: Copy> Grid<F, P> {
    pub(crate) fn table(&self) -> Table {
        let faults = self.faults.iter().map(|fault| (self.names.0)(*fault));
        let points = self.points.iter().map(|point| (self.names.1)(*point));
        Table::new(faults.collect(), points.collect())
    }

    fn aim(&self, fault: usize, point: usize, dice: &mut Dice) -> (F, P, usize) {
        let (fault, point) = (self.faults[fault], self.points[point]);
        (fault, point, dice.below((self.usual)(point)))
    }
}

/// What a world has in store: faults, where they strike, and how many of these effects go well
/// before.
pub(crate) struct Plan<F, P> {
    aims: Vec<(F, P, usize)>,
}

impl<F: Copy + 'static, P: Copy + PartialEq + 'static> Plan<F, P> {
    /// Nothing goes wrong.
    pub(crate) const fn none() -> Self {
        Self { aims: Vec::new() }
    }

    /// The cells that a seed aims at.
    pub(crate) fn new(grid: &Grid<F, P>, seed: u64, dice: &mut Dice) -> Self {
        let cells = grid.faults.len() * grid.points.len();
        let first = (seed % cells as u64) as usize * grid.aims;
        let aims = (0..grid.aims).map(|nth| {
            let cell = (first + nth) % cells;
            grid.aim(cell / grid.points.len(), cell % grid.points.len(), dice)
        });
        Self { aims: aims.collect() }
    }

    /// And as many anywhere, so that they meet.
    pub(crate) fn doubled(mut self, grid: &Grid<F, P>, dice: &mut Dice) -> Self {
        for _ in 0..grid.aims {
            let fault = dice.below(grid.faults.len());
            let point = dice.below(grid.points.len());
            self.aims.push(grid.aim(fault, point, dice));
        }
        self
    }

    /// All cells that are aimed at.
    pub(crate) fn aims(&self) -> impl Iterator<Item = (F, P)> {
        self.aims.iter().map(|(fault, point, _)| (*fault, *point))
    }

    /// An effect is about to be done: what goes wrong with it?
    pub(crate) fn strikes(&mut self, at: P) -> Option<F> {
        let mut struck = None;
        for (nth, (_, point, left)) in self.aims.iter_mut().enumerate() {
            if *point == at {
                match left.checked_sub(1) {
                    Some(less) => *left = less,
                    None => struck = struck.or(Some(nth)),
                }
            }
        }
        struck.map(|nth| self.aims.remove(nth).0)
    }
}
