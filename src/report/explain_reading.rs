//! How an explanation is to be read.

use super::page::{Block, Text};
use crate::specxai::{Form, Reduction};

/// What a page tells about how its sums come about.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// Some operators were too large to be decomposed whole.
    pub(crate) remainder: bool,
    /// How R was decomposed.
    pub(crate) forms: Vec<Form>,
    /// Some split is no cut of the graph.
    pub(crate) bypass: bool,
    /// Maps and shares are on the page, after this reduction.
    pub(crate) shown: Option<Reduction>,
    /// What each feature adds is on the page.
    pub(crate) by_feature: bool,
    /// Outputs are not in the targets' units.
    pub(crate) scaled: bool,
}

impl Reading {
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let when = |condition: bool, text: &'static str| if condition { text } else { "" };
        let mut out = vec![
            Text::marked(format!(
                "At each input the network is an affine map, y = J x̃ + Σβ. Split at a node, J = L R{}; the singular value \
                 decomposition R = P Σ Vᵀ turns the output into a sum,",
                when(self.bypass, " + J_{by}, where paths go around it"),
            )),
            Text::marked(format!(
                "y = Σ_{{k}} α_{{k}}{}{} + Σ_{{n}} β_{{n}}, \u{2002} α_{{k}} = (L P)_{{k}} · σ_{{k}} (V_{{k}}·x̃)",
                when(self.remainder, " + remainder"),
                when(self.bypass, " + bypass"),
            )),
        ];
        if self.bypass {
            out.push(Text::marked(
                "Where a split is no cut of the graph, the bypass J_{by} x̃ is what reaches the output around it.",
            ));
        }
        if self.remainder {
            out.push(
                "The remainder is what all other components add, computed by itself. In size it counts among what passes the split, which the \
                 percentages are of."
                    .into(),
            );
        }
        for &form in &self.forms {
            out.extend(of_form(form).map(Text::marked));
        }
        if let Some(reduction) = self.shown {
            out.push(
                "Each contribution α has a map over the inputs that adds up to it, and the intercepts β are what biases, batch norm \
                 and curved activations add. Nothing is estimated: the residual says how far the sum is from the network's own \
                 output."
                    .into(),
            );
            out.push(
                format!(
                    "{} Components of equal σ (a cluster) are defined only together, each with a sign of its own: add up their α and \
                     shares before reading them.",
                    reduced(reduction)
                )
                .into(),
            );
        }
        if self.by_feature {
            out.push(
                "By feature, an output is a base and what each feature adds, slope times scaled input (a categorical variable's columns \
                 together). The base is Σβ: what the affine map of this row gives where every input is zero after scaling, which with \
                 standardised inputs is their training mean. Parts of correlated features are shares of one effect: change one \
                 alone, and the others would not stay as they are."
                    .into(),
            );
        }
        if self.scaled {
            out.push(
                "The network was trained on scaled targets: α, β and the maps are in that scale (standard deviations, with \
                 standardised targets). Multiplied by the factor beside an output they are in the target's units, as the features' \
                 parts are; shares are the same in both."
                    .into(),
            );
        }
        out.push(
            "Singular vectors have no sign of their own; it is chosen so that the input lies on their positive side."
                .into(),
        );
        let block = |(i, text)| if i == 1 { Block::Formula(text) } else { Block::Paragraph(text) };
        out.into_iter().enumerate().map(block).collect()
    }
}

/// What is to be known of a decomposition that isn't that of the whole R.
fn of_form(form: Form) -> Option<&'static str> {
    match form {
        Form::Auto | Form::Complete => None,
        Form::ClassRows => Some(
            "Class rows: R was cut down to the rows that the explained output reads, and these were decomposed completely. That is another \
             decomposition than the one of the whole R; its sum is the same.",
        ),
        Form::Contributions => Some(
            "Contributions first: R has too many rows to be decomposed whole within the time allowed. Components were looked for where the \
             output itself looks (a Krylov space that starts with Lᵀ and R x̃), and only those are listed that are singular vectors to a \
             thousandth; all that can't be told apart is the remainder, one component with its map.",
        ),
        Form::Top => Some(
            "Top: R has too many rows to be decomposed whole; its largest singular values were found, whatever they contribute. Large \
             singular values need not be large contributions.",
        ),
    }
}

/// What a reduction has done.
fn reduced(reduction: Reduction) -> String {
    match reduction {
        Reduction::None => {
            "Contributions are not reduced; shares are of their sum, so that those against it are negative.".into()
        }
        Reduction::Cancel => {
            "Contributions that work against each other are added pairwise, largest with largest, until one \
                              sign is left; shares are of what remains."
                .into()
        }
        Reduction::ProRata => {
            "Contributions with the sign of their sum are scaled down to that sum, pro rata, and the others \
                               are set to zero; shares are of the sum."
                .into()
        }
        Reduction::TopN(n) => {
            format!(
                "Of the contributions only the {n} of largest magnitude are kept, as they are; shares are of their sum."
            )
        }
        Reduction::Quantile(q) => format!(
            "Only contributions whose magnitude is at least the quantile {q} of all are kept, as they are; shares are of their \
             sum."
        ),
    }
}
