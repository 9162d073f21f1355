//! Counter-based random numbers: the same on every machine for the same seed and stream.

/// A generator that hashes (seed, stream, counter); streams are independent of each other.
#[derive(Debug, Clone)]
pub struct Random {
    key: u64,
    counter: u64,
}

/// A bijection of 64-bit words that mixes well (the finaliser of SplitMix64).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    pub fn new(seed: u64, stream: u64) -> Self {
        Random { key: mix(mix(seed.wrapping_add(GOLDEN)) ^ stream.wrapping_mul(GOLDEN)), counter: 0 }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        mix(self.key.wrapping_add(self.counter.wrapping_mul(GOLDEN)))
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in 0..n (n > 0).
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Standard normal (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Fisher–Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn moments_are_right() {
        let mut random = Random::new(1, 2);
        let n = 100_000;
        let (mut sum, mut square, mut uniform) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let x = random.normal();
            sum += x;
            square += x * x;
            uniform += random.uniform();
        }
        let n = f64::from(n);
        // Five standard errors: 5/√n = 0.016, 5·√2/√n = 0.022, 5/√(12n) = 0.0046.
        assert!((sum / n).abs() < 0.016 && (square / n - 1.0).abs() < 0.022 && (uniform / n - 0.5).abs() < 0.0046);
    }

    #[test]
    fn shuffle_permutes_and_streams_differ() {
        let mut items: Vec<u32> = (0..100).collect();
        Random::new(3, 0).shuffle(&mut items);
        let mut sorted = items.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..100) && !items.iter().copied().eq(0..100));
        assert_ne!(Random::new(3, 0).next_u64(), Random::new(3, 1).next_u64());
    }
}
