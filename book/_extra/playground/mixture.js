"use strict";

/* The mathematics of the playground, and nothing of the page: the mixture of chapter 2 and its gradients by hand.

   A model is a shape, {experts: E, degree: K}, and a flat vector θ of its weights, in the order of moe_lib's
   `model.parameters()`. A point is {x, y}; under K-means it has an owner too. tests/test_playground.py holds all of it
   against moe_lib. */

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

  /** Every expert's output  y_i = b_i + w_i1 x + … + w_iK x^K. */
  function predict(theta, shape, x) {
    const { w, b } = parts(theta, shape);
    return Array.from(b, (bias, i) => {
      let y = 0;
      for (let k = shape.degree - 1; k >= 0; k--) y = (y + w[i * shape.degree + k]) * x;
      return bias + y;
    });
  }

  const units = ({ w1, b1 }, x) => Array.from(w1, (w, h) => Math.tanh(w * x + b1[h]));

  function gateOf({ w2, b2 }, hidden) {
    const logits = Array.from(b2, (bias, i) => hidden.reduce((a, u, h) => a + u * w2[h * b2.length + i], bias));
    const most = Math.max(...logits);
    const powers = logits.map((a) => Math.exp(a - most));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  /** Gate probabilities p_i(x), the softmax of the manager's logits. */
  function gate(theta, shape, x) {
    const weights = parts(theta, shape);
    return gateOf(weights, units(weights, x));
  }

  /** The gate of a point: that of its x, or its owner's alone where K-means has dealt the points out. */
  function gateAt(theta, shape, point, kind) {
    if (kind !== "kmeans") return gate(theta, shape, point.x);
    return Array.from({ length: shape.experts }, (_, i) => Number(i === point.owner));
  }

  /* --- The objective and its gradient --- */

  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

  /** The loss of one point, ∂/∂y_i and ∂/∂a_i (a: the logits), for p_i, outputs y_i and target y. Chapter 2. */
  const losses = {
    // Σ_i p_i ℓ_i  with  ℓ_i = (y - y_i)²: MixtureOfExperts
    specialise(p, outputs, y) {
      const l = outputs.map((out) => (y - out) ** 2);
      const loss = dot(p, l);
      return {
        loss,
        dOutput: outputs.map((out, i) => -2 * p[i] * (y - out)),
        dLogit: p.map((pi, i) => pi * (l[i] - loss)),
      };
    },
    // (y - Σ_i p_i y_i)²: CooperatingExperts
    cooperate(p, outputs, y) {
      const blend = dot(p, outputs);
      const error = y - blend;
      return {
        loss: error ** 2,
        dOutput: p.map((pi) => -2 * pi * error),
        dLogit: p.map((pi, i) => -2 * error * pi * (outputs[i] - blend)),
      };
    },
    // -ln Σ_i p_i exp(-ℓ_i): LikelihoodMixture. r_i is the responsibility of expert i.
    likelihood(p, outputs, y) {
      const l = outputs.map((out) => (y - out) ** 2);
      const least = Math.min(...l); // taken out, so that not all exponentials can vanish
      const joint = p.map((pi, i) => pi * Math.exp(least - l[i]));
      const sum = joint.reduce((a, b) => a + b);
      const r = joint.map((value) => value / sum);
      return {
        loss: least - Math.log(sum),
        dOutput: outputs.map((out, i) => -2 * r[i] * (y - out)),
        dLogit: p.map((pi, i) => pi - r[i]),
      };
    },
  };
  losses.kmeans = losses.specialise; // with a gate that learns nothing

  /** {expected, balancing, total} of a batch, each a mean over its points. Writes ∂total/∂θ to `gradient`, if given.

      The balancing term is ImportanceCV2:  w Var_i(I_i) / Mean_i(I_i)²  with  I_i = Σ_b p_i(x_b). Chapter 4. */
  function objective(theta, shape, points, { kind, weight }, gradient = null) {
    const E = shape.experts, B = points.length;
    const weights = parts(theta, shape);
    const fixed = kind === "kmeans";
    const seen = points.map((point) => {
      const hidden = units(weights, point.x);
      const p = fixed ? gateAt(theta, shape, point, kind) : gateOf(weights, hidden);
      return { point, hidden, p, ...losses[kind](p, predict(theta, shape, point.x), point.y) };
    });
    const expected = seen.reduce((sum, { loss }) => sum + loss, 0) / B;
    const w = fixed ? 0 : weight;
    const excess = Array.from({ length: E }, (_, i) => seen.reduce((sum, { p }) => sum + p[i], 0) - B / E); // I_i - B/E
    const balancing = (w * dot(excess, excess)) / E / (B / E) ** 2;
    if (gradient) {
      gradient.fill(0);
      const d = parts(gradient, shape);
      const pull = excess.map((value) => (2 * w * value) / E / (B / E) ** 2); // ∂balancing/∂p_i, for every point
      for (const { point, hidden, p, dOutput, dLogit } of seen) {
        for (let i = 0; i < E; i++) {
          d.b[i] += dOutput[i] / B;
          for (let k = 0, power = point.x; k < shape.degree; k++, power *= point.x) {
            d.w[i * shape.degree + k] += (dOutput[i] * power) / B;
          }
        }
        if (fixed) continue;
        const mean = dot(p, pull);
        const da = dLogit.map((value, i) => value / B + p[i] * (pull[i] - mean));
        for (let i = 0; i < E; i++) d.b2[i] += da[i];
        for (let h = 0; h < HIDDEN; h++) {
          let du = 0;
          for (let i = 0; i < E; i++) {
            d.w2[h * E + i] += da[i] * hidden[h];
            du += da[i] * weights.w2[h * E + i];
          }
          du *= 1 - hidden[h] ** 2; // through the tanh
          d.w1[h] += du * point.x;
          d.b1[h] += du;
        }
      }
    }
    return { expected, balancing, total: expected + balancing };
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

  return { Run, gate, gateAt, kmeans, normal, objective, predict, size, uniform };
})();
