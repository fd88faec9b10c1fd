"""Linear models on frozen features: many problems over the same features, solved together, each for
a path of strengths.

A problem is some rows x_i (i = 1 … n) of one feature matrix with their targets. Its features are
standardised by its own rows, z = (x − mean)/deviation. A strength C is what scikit-learn's ``C`` is
(``alpha`` = 1/C for ridge); intercepts b are not penalised.

**Ridge** (``ridge``) minimises Σ_i ‖W z_i + b − y_i‖² + ‖W‖²/C, where y_i are numbers, or for
classes +1 for the class of the row and −1 for all others. With Z centred, b is the mean of the
targets, and with the eigendecomposition ZᵀZ = V diag(e) Vᵀ

    Wᵀ = V diag(1/(e + 1/C)) Vᵀ Zᵀ(Y − b)

so that one decomposition serves all strengths. Where there are fewer rows than features, it is
taken in the span of the rows.

**Logistic regression** (``logistic``) minimises, with p_i = softmax(W z_i + b),

    f(W, b) = Σ_i −log p_i[y_i] + (λ/2) ‖W‖²,    λ = 1/C,

    ∂f/∂W = Σ_i (p_i − onehot(y_i)) z_iᵀ + λ W.

With two classes λ is 2/C, which is scikit-learn's ‖w‖²/2C with w = W_1 − W_0: at the minimum W_0 =
−W_1. The solver is L-BFGS (Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.4), for
all problems of a batch in step:

- The strengths are solved from the most regular to the least. A solution is the start of the next
  strength, and the memory of curvature is carried over: a new λ changes each remembered change of
  the gradient by (λ' − λ) times its step.
- The initial inverse Hessian H₀ is that of rows of equal weight a, (a ZᵀZ + λ I)⁻¹, along the
  leading principal axes. The Hessian of row i over the classes is diag(p_i) − p_i p_iᵀ (Böhning
  1992), whose mean eigenvalue over its classes − 1 directions is (1 − ‖p_i‖²)/(classes − 1), at
  most 1/classes; a is its mean over the rows.
- A problem is done with a strength when its half Newton decrement ½ gᵀH g, about its distance from
  the minimum of f, falls below ``tolerance`` times what f has come down from zero weights. So a
  strong penalty, under which there is little to come down, is held to as much as a weak one.

**Labels that exclude nothing** (``one_against_rest``) are one logistic regression each, all solved
in step.
"""
