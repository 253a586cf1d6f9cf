//! How near two vectors are.

/// How near two vectors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Cosine,
    DotProduct,
    Euclidean,
}

impl Metric {
    pub(super) fn read(name: &str) -> Option<Self> {
        match name {
            "cosine" => Some(Self::Cosine),
            "dot-product" => Some(Self::DotProduct),
            "euclidean" => Some(Self::Euclidean),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::DotProduct => "dot-product",
            Self::Euclidean => "euclidean",
        }
    }

    /// As Vectorize reports it: near is high, but for euclidean, where near is 0.
    pub(super) fn score(self, query: &Components, vector: &Components) -> f32 {
        match self {
            Self::Cosine => dot(&query.values, &vector.values) / (query.norm * vector.norm).max(f32::MIN_POSITIVE),
            Self::DotProduct => dot(&query.values, &vector.values),
            Self::Euclidean => {
                query.values.iter().zip(&vector.values).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
            }
        }
    }
}

/// A vector with its length, which every cosine needs.
#[derive(Debug, Clone)]
pub(super) struct Components {
    pub(super) values: Vec<f32>,
    pub(super) norm: f32,
}

impl From<Vec<f32>> for Components {
    fn from(values: Vec<f32>) -> Self {
        let norm = dot(&values, &values).sqrt();
        Self { values, norm }
    }
}

pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums at a time is what the compiler turns into vector instructions.
    let mut sums = [0_f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in left.zip(right) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}
