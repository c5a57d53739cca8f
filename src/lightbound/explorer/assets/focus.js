// A dropdown of Dash has a hidden field that takes the focus from its label. It stays so, but is no stop of its own for
// the tabulator key: the visible button beside it is one already.
new MutationObserver(() => {
  for (const field of document.querySelectorAll(".dash-dropdown-focus-target[tabindex='0']")) field.tabIndex = -1;
}).observe(document.documentElement, { childList: true, subtree: true });
