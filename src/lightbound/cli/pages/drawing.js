// Draws every figure of the page with Plotly, at the width that there is; anew for paper.
(() => {
  const fingers = matchMedia("(pointer: coarse)").matches; // dragging scrolls the page there
  const places = [...document.querySelectorAll(".plot")];
  const settings = {
    responsive: true,
    displaylogo: false,
    displayModeBar: fingers ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };
  // To a screen reader a plot is one picture, told by its caption; its marks one by one would be noise.
  const name = (place) => {
    for (const [number, layer] of place.querySelectorAll("svg.main-svg").entries()) {
      if (number) layer.setAttribute("aria-hidden", "true");
      layer.setAttribute("role", "img");
      layer.setAttribute("aria-labelledby", place.id + "-says");
    }
  };
  for (const place of places) {
    const figure = JSON.parse(document.getElementById(place.id + "-figure").textContent);
    if (fingers) figure.layout.dragmode = false;
    if (place.clientWidth < 480) figure.layout.height += 11 * figure.data.length; // the legend has one name a line
    Plotly.newPlot(place, figure.data, figure.layout, settings).then(() => name(place));
  }
  const fit = () => places.forEach((place) => Plotly.Plots.resize(place));
  addEventListener("beforeprint", fit);
  addEventListener("afterprint", fit);
  document.documentElement.dataset.plots = places.length;
})();
