"use strict";

/* The trained model, and nothing of the page: a manager that sorts, ten experts that encode and draw.

   The same arithmetic as moe_lib's `load_pretrained()`, on the weights of weights/*.js, whose batch normalisation is
   folded into its layers. Images are 784 numbers in [0, 1], row by row, 1 the ink.
   tests/test_playground_digits.py holds all of it against PyTorch. */

const digits = (() => {
  const EXPERTS = 10, LATENT = 10, SIDE = 28, PIXELS = SIDE * SIDE;

  /* --- The files --- */

  const VALUE = new Uint8Array(128);
  [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"].forEach((letter, value) => {
    VALUE[letter.charCodeAt(0)] = value;
  });

  /** Whole numbers in base 64, a text for each place, times one step. */
  function unpack({ step, planes }) {
    const values = new Float32Array(planes[0].length);
    for (const plane of planes) {
      for (let i = 0; i < values.length; i++) values[i] = 64 * values[i] + VALUE[plane.charCodeAt(i)];
    }
    const middle = 64 ** planes.length / 2;
    for (let i = 0; i < values.length; i++) values[i] = step * (values[i] - middle);
    return values;
  }

  const weights = {}; // by layer and expert; the manager is the only one of its kind

  /** What a file of weights/ holds: arrays of the manager or an expert, or images and what else the page shows. */
  function take({ arrays = {}, expert, images, ...rest }) {
    for (const [name, array] of Object.entries(arrays)) (weights[name] ??= [])[expert] = unpack(array);
    Object.assign(digits, rest);
    if (!images) return;
    const pixels = unpack(images);
    for (let from = 0; from < pixels.length; from += PIXELS) digits.images.push(pixels.subarray(from, from + PIXELS));
  }

  /* --- Layers --- */

  /** x W + b for the expert's own W (in, out), or the one there is. Most inputs are 0: paper, or a unit that is off. */
  function linear(x, name, expert = 0) {
    const W = weights[name][expert], out = Float64Array.from(weights[`${name}Bias`][expert]), size = out.length;
    for (let i = 0, from = 0; i < x.length; i++, from += size) {
      const value = x[i];
      if (value) for (let o = 0; o < size; o++) out[o] += value * W[from + o];
    }
    return out;
  }

  function relu(x) {
    for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0;
    return x;
  }

  /** A convolution of 5 × 5 pixels, every second place, two pixels of padding: (channels, side, side), halved. */
  function convolve(x, name, channels, side) {
    const half = side / 2, patch = new Float64Array(25 * channels);
    let out;
    for (let place = 0; place < half * half; place++) {
      const top = 2 * Math.floor(place / half) - 2, left = 2 * (place % half) - 2;
      for (let i = 0; i < patch.length; i++) {
        const row = top + (Math.floor(i / 5) % 5), column = left + (i % 5);
        const inside = row >= 0 && row < side && column >= 0 && column < side;
        patch[i] = inside ? x[(Math.floor(i / 25) * side + row) * side + column] : 0;
      }
      const features = linear(patch, name);
      out ??= new Float64Array(features.length * half * half);
      for (let c = 0; c < features.length; c++) out[c * half * half + place] = features[c];
    }
    return out;
  }

  function softmax(logits) {
    const most = Math.max(...logits), powers = Array.from(logits, (logit) => Math.exp(logit - most));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  /* --- The model --- */

  /** What the manager computes on the way to p(x), how likely it is to ask each expert: two layers of maps come first. */
  function manage(image) {
    const seen = relu(convolve(image, "see", 1, SIDE));
    const looked = relu(convolve(seen, "look", seen.length / 196, SIDE / 2));
    const logits = linear(relu(linear(looked, "connect")), "decide");
    return { seen, looked, logits, p: softmax(logits) };
  }

  const gate = (image) => manage(image).p;

  /** The mean and the variance of an expert's q(z | x). */
  function encode(image, expert) {
    const found = linear(relu(linear(image, "encode", expert)), "posterior", expert);
    return { mean: found.slice(0, LATENT), variance: found.slice(LATENT).map((s) => 1e-5 + Math.exp(s)) };
  }

  /** The mean image that an expert draws for z. */
  function decode(z, expert) {
    const logits = linear(relu(linear(z, "decode", expert)), "draw", expert);
    return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  }

  /** What an image costs an expert, in nats, in two parts: with z at the mean of q(z | x), nothing drawn by lot. */
  function examine(image, expert) {
    const { mean, variance } = encode(image, expert), drawing = decode(mean, expert), sigma = digits.deviation;
    const constant = PIXELS * (Math.log(sigma) + Math.log(2 * Math.PI) / 2);
    let squares = 0, kl = 0;
    for (let d = 0; d < PIXELS; d++) squares += (image[d] - drawing[d]) ** 2;
    for (let k = 0; k < LATENT; k++) kl += (variance[k] + mean[k] ** 2 - 1 - Math.log(variance[k])) / 2;
    const reconstruction = squares / (2 * sigma ** 2) + constant;
    return { mean, variance, drawing, reconstruction, kl, loss: reconstruction + kl };
  }

  /** Where the greatest of several numbers is. */
  const greatest = (values) => values.indexOf(Math.max(...values));

  /** What all of them together say of an image: whom the manager asks, who would take it for least, and whether it looks
      like anything that they were trained on. It does not if it costs the one who is asked more than the limit, which
      98 of 100 training images cost less than. */
  function judge({ p }, found) {
    const asked = greatest(p), least = greatest(found.map(({ loss }) => -loss));
    return { asked, least, known: found[asked].loss <= digits.limit };
  }

  /** How many of 100 test images cost their expert less; `costs` has the percentiles 0 to 100. */
  const cheaper = (loss) => digits.costs.filter((cost) => cost < loss).length - (loss > digits.costs[0] ? 1 : 0);

  return { EXPERTS, LATENT, SIDE, PIXELS, images: [], take, manage, gate, encode, decode, examine, greatest, judge, cheaper };
})();
