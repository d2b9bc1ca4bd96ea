//! Counts steps in tests, so that they can check for linear time without a clock; in other builds it is nothing.

/// A counter of octets read.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Steps {
    #[cfg(test)]
    pub(super) count: u64,
}

impl Steps {
    /// Counts steps, in tests.
    pub(super) fn add(&mut self, _steps: usize) {
        #[cfg(test)]
        {
            self.count += _steps as u64;
        }
    }
}
