// The colours of plots: perceptually uniform, and distinguishable with colour blindness.
const stops = (...hex) => hex.join("").match(/.{6}/g).map((one) => [0, 2, 4].map((i) => parseInt(one.slice(i, i + 2), 16)));
// For amounts: viridis. For differences, the middle at zero: vik (Crameri, 2018).
const VIRIDIS = stops("440154481567482677453781404788", "39568c33638d2d708e287d8e238a8d",
  "1f968b20a38729af7f3cbb7555c667", "73d05595d840b8de29dce319fde725");
const VIK = stops("001261033a7a1965975897b8a6c8d9", "ebe5e0e1b8a0cd8861b4592a862306590008");
function rgb(share, map) {
  const place = Math.min(Math.max(share, 0), 1) * (map.length - 1);
  const low = Math.min(Math.floor(place), map.length - 2);
  return map[low].map((c, i) => Math.round(c + (place - low) * (map[low + 1][i] - c)));
}
const colourOf = (map) => (share) => `rgb(${rgb(share, map).join(",")})`;
// The readable text colour on it: black above a relative luminance of 0.18.
const inkOf = (map) => (share) => {
  const [r, g, b] = rgb(share, map).map((c) => {
    const x = c / 255;
    return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
};
export const amounts = { colour: colourOf(VIRIDIS), ink: inkOf(VIRIDIS) };
export const signs = { colour: colourOf(VIK), ink: inkOf(VIK) };
