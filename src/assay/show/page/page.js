"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // ---- theme: follows the system until a person chooses
  const themeButton = document.getElementById("theme");
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const isDark = () => (chosen ?? (systemIsDark.matches ? "dark" : "light")) === "dark";
  const showTheme = () => {
    root.style.colorScheme = chosen ?? "";
    themeButton.setAttribute("aria-pressed", String(isDark()));
    themeButton.textContent = isDark() ? "Light" : "Dark";
    themeButton.setAttribute("aria-label", isDark() ? "Switch to the light theme" : "Switch to the dark theme");
  };
  themeButton.addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    showTheme();
  });
  systemIsDark.addEventListener("change", showTheme);
  showTheme();

  // ---- charts
  const config = { responsive: true, displayModeBar: false };
  const dragmode = matchMedia("(hover: hover)").matches ? "zoom" : false; // a finger that scrolls must not zoom
  const plots = all("script[data-plot]").map((script) => {
    const place = document.getElementById(script.dataset.plot);
    const { data, layout } = JSON.parse(script.textContent);
    return Plotly.newPlot(place, data, { ...layout, dragmode }, config).then(() => place);
  });
  const resize = (width) => plots.forEach((plot) => plot.then((place) => Plotly.relayout(place, { width, autosize: !width })));
  addEventListener("beforeprint", () => resize(660)); // a page of A4 less its margins
  addEventListener("afterprint", () => resize(null));

  // ---- sorting
  const number = (cell) => (cell.dataset.value === undefined || cell.dataset.value === "" ? Infinity : Number(cell.dataset.value));
  const sorters = {
    number: (index) => (a, b) => number(a.cells[index]) - number(b.cells[index]),
    text: (index) => (a, b) => a.cells[index].textContent.trim().localeCompare(b.cells[index].textContent.trim()),
  };
  const sort = (heading, index) => {
    const table = heading.closest("table");
    const direction = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    const compare = sorters[heading.classList.contains("number") ? "number" : "text"](index);
    const missing = (row) => heading.classList.contains("number") && number(row.cells[index]) === Infinity;
    const rows = [...table.tBodies[0].rows].sort((a, b) => missing(a) - missing(b) || (direction === "ascending" ? 1 : -1) * compare(a, b));
    table.tBodies[0].append(...rows);
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", direction);
  };
  all("table.sortable thead th").forEach((heading, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sort(heading, index));
  });

  // ---- code: one file at a time, frameworks side by side
  const tabs = all('[role="tab"]');
  const select = (tab) =>
    tabs.forEach((other) => {
      const chosenTab = other === tab;
      other.setAttribute("aria-selected", String(chosenTab));
      other.tabIndex = chosenTab ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !chosenTab;
    });
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const goal = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (goal === undefined) return;
      const next = tabs[(goal + tabs.length) % tabs.length];
      event.preventDefault();
      select(next);
      next.focus();
    });
  });
  if (tabs.length) select(tabs[0]);
  const targets = all(".targets button");
  const show = (button, shown) => {
    button.setAttribute("aria-pressed", String(shown));
    all(`.file[data-target="${button.dataset.target}"]`).forEach((file) => (file.hidden = !shown));
  };
  const columns = innerWidth < 700 ? 1 : 2;
  targets.forEach((button, index) => {
    show(button, index < columns);
    button.addEventListener("click", () => show(button, button.getAttribute("aria-pressed") !== "true"));
  });
  all(".copy").forEach((button) =>
    button.addEventListener("click", async () => {
      const text = button.closest(".file").querySelector("code").textContent + "\n";
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(button.closest(".file").querySelector("code"));
        button.textContent = "Selected";
      }
      setTimeout(() => (button.textContent = "Copy"), 1500);
    }),
  );

  // ---- data
  document.getElementById("download").addEventListener("click", () => {
    const facts = JSON.parse(document.getElementById("facts").textContent);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(facts, null, 1)], { type: "application/json" }));
    link.download = `assay-${facts.workload.name.replace(/[^\w-]+/g, "_").slice(0, 60)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  Promise.all(plots).then(() => (root.dataset.ready = "true"));
})();
