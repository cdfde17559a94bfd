// What a person sees of a page: its controls, by the names that are read to them.
({
  name(control) {
    const own = control.getAttribute("aria-label");
    if (own) return own;
    const label = control.labels?.[0];
    const parts = label ? [...label.childNodes].filter((node) => !node.contains(control)) : [control];
    return parts.map((node) => node.textContent).join("").replace(/\s+/g, " ").trim();
  },

  /** The one that they see of this kind and name, or that begins so (`abc*`); null when there is none, or more than one. */
  find(kind, name) {
    const isIt = name.endsWith("*") ? (own) => own.startsWith(name.slice(0, -1)) : (own) => own === name;
    const all = [...document.querySelectorAll(kind)];
    const fit = all.filter((control) => control.checkVisibility() && isIt(this.name(control)));
    return fit.length === 1 ? fit[0] : null;
  },

  /** Where to click it; null while it is not there, or something else is on top of it. */
  place(kind, name) {
    const control = this.find(kind, name);
    if (!control) return null;
    control.scrollIntoView({ block: "center", behavior: "instant" });
    const { left, right, top, bottom } = control.getClientRects()[0];
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    return control.contains(document.elementFromPoint(x, y)) ? [x, y] : null;
  },

  hasFocus(kind, name) {
    return document.activeElement !== document.body && document.activeElement === this.find(kind, name);
  },

  /** What has the focus, for who cannot find something. */
  focused() {
    const at = document.activeElement;
    return at === document.body ? "" : `${at.tagName.toLowerCase()} ${this.name(at)}`;
  },
})
