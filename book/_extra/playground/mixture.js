"use strict";

/* The mathematics of the playground, and nothing of the page: the mixture of chapter 2 and its gradients by hand.

   A model is a shape, {experts: E, degree: K}, and a flat vector θ of its weights, in the order of moe_lib's
   `model.parameters()`. A point is {x, y, owner}; only K-means asks for the owner. tests/test_playground.py holds all of
   it against moe_lib. */

const mixture = (() => {
  const HIDDEN = 16; // tanh units of the manager, 1-16-E
  const BATCH = 50; // points a step, or all of them where there are fewer

  /* --- Random numbers --- */

  /** Uniform numbers in [0, 1), the same for the same seed: a Weyl sequence of 32 bits, well stirred. */
  function uniform(seed) {
    let state = Math.imul(seed + 1, 0x9e3779b9);
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let z = Math.imul(state ^ (state >>> 15), state | 1);
      z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
      return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  /** One draw from N(0, 1), after Box and Muller. */
  const normal = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

  function shuffled(n, random) {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /* --- The model --- */

  /** Windows on θ, or on its gradient: the manager's two layers, then weights and biases of the experts. */
  function parts(theta, { experts, degree }) {
    let at = 0;
    const take = (n) => theta.subarray(at, (at += n));
    return {
      w1: take(HIDDEN), b1: take(HIDDEN), w2: take(HIDDEN * experts), b2: take(experts),
      w: take(experts * degree), b: take(experts),
    };
  }

  const managerSize = ({ experts }) => 2 * HIDDEN + (HIDDEN + 1) * experts;
  const size = (shape) => managerSize(shape) + shape.experts * (shape.degree + 1);

  /** Glorot-uniform weights and zero biases, as moe_lib starts. */
  function initial(shape, random) {
    const theta = new Float64Array(size(shape));
    const { w1, w2, w } = parts(theta, shape);
    const fill = (weights, nIn, nOut) => {
      const bound = Math.sqrt(6 / (nIn + nOut));
      for (let i = 0; i < weights.length; i++) weights[i] = bound * (2 * random() - 1);
    };
    fill(w1, 1, HIDDEN);
    fill(w2, HIDDEN, shape.experts);
    fill(w, shape.degree, 1);
    return theta;
  }

  /** Every expert's output  y_i = b_i + w_i1 x + … + w_iK x^K,  written to `outputs` from index `at` on. */
  function predict({ w, b }, x, outputs, at) {
    const degree = w.length / b.length;
    for (let i = 0; i < b.length; i++) {
      let y = 0;
      for (let k = degree - 1; k >= 0; k--) y = (y + w[i * degree + k]) * x;
      outputs[at + i] = b[i] + y;
    }
  }

  /** The gate probabilities p_i(x), the softmax of the manager's logits; and the tanh units that they come from. */
  function ask({ w1, b1, w2, b2 }, x, hidden, atHidden, p, at) {
    const E = b2.length;
    for (let i = 0; i < E; i++) p[at + i] = b2[i];
    for (let h = 0; h < HIDDEN; h++) {
      const unit = (hidden[atHidden + h] = 1 - 2 / (Math.exp(2 * (w1[h] * x + b1[h])) + 1)); // tanh, in half the time
      for (let i = 0; i < E; i++) p[at + i] += unit * w2[h * E + i];
    }
    let most = p[at], sum = 0;
    for (let i = 1; i < E; i++) most = Math.max(most, p[at + i]);
    for (let i = 0; i < E; i++) sum += p[at + i] = Math.exp(p[at + i] - most);
    for (let i = 0; i < E; i++) p[at + i] /= sum;
  }

  /* --- The objective and its gradient --- */

  /** The loss of one point; writes ∂/∂y_i and ∂/∂a_i (a: the logits). Chapter 2.

      `of` holds one row a point of p_i, outputs y_i and both gradients; this point's begins at index `at`. */
  const losses = {
    // Σ_i p_i ℓ_i  with  ℓ_i = (y - y_i)²: MixtureOfExperts
    specialise({ p, outputs, dOutput, dLogit }, y, at, E) {
      let loss = 0;
      for (let i = at; i < at + E; i++) loss += p[i] * (y - outputs[i]) ** 2;
      for (let i = at; i < at + E; i++) {
        dOutput[i] = -2 * p[i] * (y - outputs[i]);
        dLogit[i] = p[i] * ((y - outputs[i]) ** 2 - loss);
      }
      return loss;
    },
    // (y - Σ_i p_i y_i)²: CooperatingExperts
    cooperate({ p, outputs, dOutput, dLogit }, y, at, E) {
      let average = 0;
      for (let i = at; i < at + E; i++) average += p[i] * outputs[i];
      const error = y - average;
      for (let i = at; i < at + E; i++) {
        dOutput[i] = -2 * p[i] * error;
        dLogit[i] = -2 * error * p[i] * (outputs[i] - average);
      }
      return error ** 2;
    },
    // -ln Σ_i p_i exp(-ℓ_i): LikelihoodMixture. r_i is the responsibility of expert i.
    likelihood({ p, outputs, dOutput, dLogit }, y, at, E) {
      let least = Infinity, sum = 0; // the least ℓ_i is taken out, so that not all exponentials can vanish
      for (let i = at; i < at + E; i++) least = Math.min(least, (y - outputs[i]) ** 2);
      for (let i = at; i < at + E; i++) sum += p[i] * Math.exp(least - (y - outputs[i]) ** 2);
      for (let i = at; i < at + E; i++) {
        const r = (p[i] * Math.exp(least - (y - outputs[i]) ** 2)) / sum;
        dOutput[i] = -2 * r * (y - outputs[i]);
        dLogit[i] = p[i] - r;
      }
      return least - Math.log(sum);
    },
    // Σ_i p_i ℓ_i where K-means has dealt the points out: the gate learns nothing
    kmeans(of, y, at, E) {
      const loss = losses.specialise(of, y, at, E);
      of.dLogit.fill(0, at, at + E);
      return loss;
    },
  };

  /** What the points tell a model. {expected, balancing, total} are means over the points; all else has a row a point:
      p and the outputs, and dOutput, dLogit: the gradients of total times B, by that point's y_i and a_i.

      The balancing term is ImportanceCV2:  w Var_i(I_i) / Mean_i(I_i)²  with  I_i = Σ_b p_i(x_b). Chapter 4. */
  function told(theta, shape, points, { kind, weight }) {
    const E = shape.experts, B = points.length, fixed = kind === "kmeans";
    const weights = parts(theta, shape);
    const rows = (n) => new Float64Array(B * n);
    const of = { hidden: rows(HIDDEN), p: rows(E), outputs: rows(E), dOutput: rows(E), dLogit: rows(E) };
    const importance = new Float64Array(E);
    let expected = 0, balancing = 0;
    for (let n = 0, at = 0; n < B; n++, at += E) {
      const { x, y, owner } = points[n];
      if (fixed) of.p[at + owner] = 1;
      else ask(weights, x, of.hidden, n * HIDDEN, of.p, at);
      predict(weights, x, of.outputs, at);
      expected += losses[kind](of, y, at, E) / B;
      for (let i = 0; i < E; i++) importance[i] += of.p[at + i];
    }
    const w = fixed ? 0 : weight;
    const pull = importance.map((I) => (2 * w * (I - B / E)) / E / (B / E) ** 2); // ∂balancing/∂p_i, for every point
    for (const I of importance) balancing += (w * (I - B / E) ** 2) / E / (B / E) ** 2;
    for (let at = 0; w && at < of.p.length; at += E) {
      let mean = 0;
      for (let i = 0; i < E; i++) mean += of.p[at + i] * pull[i];
      for (let i = 0; i < E; i++) of.dLogit[at + i] += B * of.p[at + i] * (pull[i] - mean);
    }
    return { ...of, importance, expected, balancing, total: expected + balancing };
  }

  /** The same losses; and ∂total/∂θ is written to `gradient`. */
  function objective(theta, shape, points, settings, gradient) {
    const E = shape.experts, K = shape.degree, B = points.length;
    const { w2 } = parts(theta, shape), d = parts(gradient.fill(0), shape);
    const { hidden, dOutput, dLogit, expected, balancing, total } = told(theta, shape, points, settings);
    for (let n = 0, at = 0; n < B; n++, at += E) {
      const { x } = points[n];
      for (let i = 0; i < E; i++) {
        d.b[i] += dOutput[at + i] / B;
        for (let k = 0, power = x; k < K; k++, power *= x) d.w[i * K + k] += (dOutput[at + i] * power) / B;
        d.b2[i] += dLogit[at + i] / B;
      }
      for (let h = 0; h < HIDDEN; h++) {
        const unit = hidden[n * HIDDEN + h];
        let du = 0;
        for (let i = 0; i < E; i++) {
          d.w2[h * E + i] += (dLogit[at + i] * unit) / B;
          du += (dLogit[at + i] * w2[h * E + i]) / B;
        }
        du *= 1 - unit ** 2; // through the tanh
        d.w1[h] += du * x;
        d.b1[h] += du;
      }
    }
    return { expected, balancing, total };
  }

  /** Where on [-1, 1] the most probable expert changes, to a thousandth; moe_lib's `borders`. */
  function borders(theta, shape) {
    const grid = Array.from({ length: 2001 }, (_, j) => ({ x: (j - 1000) / 1000, y: 0 }));
    const { p } = told(theta, shape, grid, { kind: "specialise", weight: 0 });
    const leaders = grid.map((_, j) => most(p, j * shape.experts, shape.experts));
    return grid.filter((_, j) => j && leaders[j] !== leaders[j - 1]).map(({ x }) => x);
  }

  /** The index of the greatest of `n` values from index `at` on. */
  function most(values, at = 0, n = values.length) {
    let best = 0;
    for (let i = 1; i < n; i++) if (values[at + i] > values[at + best]) best = i;
    return best;
  }

  /* --- Training --- */

  /** Adam with PyTorch's defaults, and a learning rate for each of the two parts. */
  class Adam {
    constructor(shape) {
      this.split = managerSize(shape);
      this.m = new Float64Array(size(shape));
      this.v = new Float64Array(size(shape));
      this.steps = 0;
    }

    step(theta, gradient, rates) {
      this.steps += 1;
      const first = 1 - 0.9 ** this.steps, second = Math.sqrt(1 - 0.999 ** this.steps);
      for (let i = 0; i < theta.length; i++) {
        this.m[i] += 0.1 * (gradient[i] - this.m[i]);
        this.v[i] += 0.001 * (gradient[i] ** 2 - this.v[i]);
        const rate = i < this.split ? rates.manager : rates.experts;
        theta[i] -= ((rate / first) * this.m[i]) / (Math.sqrt(this.v[i]) / second + 1e-8);
      }
    }
  }

  /** One run: θ, its optimiser and the order of the points. The seed decides about weights and order. */
  class Run {
    constructor(shape, seed) {
      this.shape = shape;
      this.random = uniform(seed);
      this.theta = initial(shape, this.random);
      this.gradient = new Float64Array(this.theta.length);
      this.adam = new Adam(shape);
      this.order = [];
      this.count = 0;
    }

    get steps() {
      return this.adam.steps;
    }

    /** The next batch of an epoch; those left over from the last whole batch sit it out, as in moe_lib's `fit`. */
    batch(points) {
      const n = Math.min(BATCH, points.length);
      if (this.count !== points.length || this.order.length < n) {
        this.count = points.length;
        this.order = shuffled(points.length, this.random);
      }
      return this.order.splice(0, n).map((i) => points[i]);
    }

    step(batch, settings) {
      const losses = objective(this.theta, this.shape, batch, settings, this.gradient);
      this.adam.step(this.theta, this.gradient, settings.rates);
      return losses;
    }
  }

  /** Every expert by least squares, with the weights p_i of the gate and the manager as it is; chapter 2's `refit`. */
  function exactFit(theta, shape, points, settings) {
    const E = shape.experts, K = shape.degree;
    const { w, b } = parts(theta, shape);
    const { p } = told(theta, shape, points, settings);
    for (let i = 0; i < E; i++) {
      // The normal equations  Σ p f fᵀ (b, w) = Σ p f y  for the features f = 1, x, …, x^K, one row an equation.
      const rows = Array.from({ length: K + 1 }, () => new Float64Array(K + 2));
      points.forEach(({ x, y }, n) => {
        for (let j = 0; j <= K; j++) {
          for (let k = 0; k <= K; k++) rows[j][k] += p[n * E + i] * x ** (j + k);
          rows[j][K + 1] += p[n * E + i] * x ** j * y;
        }
      });
      const solution = solve(rows);
      if (!solution) continue; // too few points to say
      b[i] = solution[0];
      w.set(solution.slice(1), i * K);
    }
  }

  /** A system of linear equations, each a row of coefficients and its right side; null where it has no one solution. */
  function solve(rows) {
    const n = rows.length;
    for (let j = 0; j < n; j++) {
      const pivot = rows.slice(j).reduce((best, row) => (Math.abs(row[j]) > Math.abs(best[j]) ? row : best));
      if (!(Math.abs(pivot[j]) > 1e-12)) return null;
      rows.splice(rows.indexOf(pivot), 1);
      rows.splice(j, 0, pivot);
      for (let i = 0; i < n; i++) {
        const times = i === j ? 0 : rows[i][j] / pivot[j];
        for (let k = j; k <= n; k++) rows[i][k] -= times * pivot[k];
      }
    }
    return rows.map((row, j) => row[n] / row[j]);
  }

  /* --- K-means --- */

  /** The best of ten starts of Lloyd's algorithm: {centres, owner of each row, inertia}, centres from left to right.

      A row is a list of coordinates. The starts follow k-means++: each new centre is a row, drawn with a probability in
      proportion to its squared distance from the nearest centre so far. */
  function kmeans(rows, k, seed = 0) {
    const random = uniform(seed);
    const distance = (a, b) => a.reduce((sum, value, d) => sum + (value - b[d]) ** 2, 0);
    const nearest = (row, centres) => {
      const all = centres.map((centre) => distance(row, centre));
      const least = Math.min(...all);
      return { owner: all.indexOf(least), least };
    };
    const draw = (chances) => {
      let left = random() * chances.reduce((a, b) => a + b, 0);
      const i = chances.findIndex((chance) => (left -= chance) < 0);
      return rows[i < 0 ? 0 : i];
    };
    let best = { inertia: Infinity };
    for (let start = 0; start < 10; start++) {
      let centres = [rows[Math.floor(random() * rows.length)]];
      while (centres.length < k) centres.push(draw(rows.map((row) => nearest(row, centres).least)));
      let inertia = Infinity;
      for (;;) {
        const found = rows.map((row) => nearest(row, centres));
        const now = found.reduce((sum, { least }) => sum + least, 0);
        if (!(now < inertia)) break;
        inertia = now;
        centres = centres.map((centre, i) => {
          const own = rows.filter((_, b) => found[b].owner === i);
          return own.length ? centre.map((_, d) => own.reduce((sum, row) => sum + row[d], 0) / own.length) : centre;
        });
      }
      if (inertia < best.inertia) best = { centres, inertia };
    }
    best.centres.sort((a, b) => a[0] - b[0]);
    best.owner = rows.map((row) => nearest(row, best.centres).owner);
    return best;
  }

  return { Run, borders, exactFit, kmeans, most, normal, objective, size, told, uniform };
})();
