// A pasted log line has words that no page has, such as ids and amounts. Sphinx shows only pages that
// have all words, so of a long query, show the pages that have most of them.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const search = Search.performTermsSearch;
  Search.performTermsSearch = (terms, excluded) => {
    const exact = search(terms, excluded);
    if (exact.length || terms.size < 5) return exact;
    const pages = new Map();
    for (const term of terms) {
      for (const result of search(new Set([term]), new Set())) {
        const [count] = pages.get(result[0]) || [0];
        pages.set(result[0], [count + 1, result]);
      }
    }
    return [...pages.values()]
      .filter(([count]) => count > terms.size / 2)
      .map(([count, result]) => [...result.slice(0, 4), count, ...result.slice(5)]);
  };
});
