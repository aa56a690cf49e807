// What a search shows first. Sphinx ranks pages by their words, and shows only those that have all words of a query.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const MESSAGES = "reference/messages";
  const FIRST = 1000; // more than Sphinx gives any page

  // A pasted log line has words that no page has, such as ids and amounts, and so may a question.
  // Then show the pages that have most of the words.
  const search = Search.performTermsSearch;
  Search.performTermsSearch = (terms, excluded) => {
    const exact = search(terms, excluded);
    if (exact.length || terms.size < 2) return exact;
    const pages = new Map();
    for (const term of terms) {
      for (const result of search(new Set([term]), new Set())) {
        const [count] = pages.get(result[0]) || [0];
        pages.set(result[0], [count + 1, result]);
      }
    }
    return [...pages.values()]
      .filter(([count]) => count >= terms.size / 2)
      .map(([count, result]) => [...result.slice(0, 4), count, ...result.slice(5)]);
  };

  // First comes the message whose code is in the query, alone or in a pasted line. Then come titles of
  // pages, and other headings, that have all words of the query, the shortest first.
  const perform = Search._performSearch;
  Search._performSearch = (query, terms, ...others) => {
    const { alltitles, docnames, filenames, titles } = Search._index;
    const line = query.toLowerCase().trim();
    const stemmer = new Stemmer();
    const ranked = [];
    for (const [title, places] of Object.entries(alltitles)) {
      const words = splitQuery(title.toLowerCase()).map((word) => stemmer.stemWord(word));
      const hasAll = terms.size > 0 && [...terms].every((term) => words.includes(term));
      for (const [file, id] of places) {
        const isCode = docnames[file] === MESSAGES && (line === title || line.includes(`[${title}]`));
        if (!isCode && !hasAll) continue;
        const isPage = titles[file] === title;
        ranked.push([
          docnames[file],
          isPage ? title : `${titles[file]} > ${title}`,
          id === null || isPage ? "" : `#${id}`,
          null,
          isCode ? 2 * FIRST : FIRST - words.length + (isPage ? 100 : 0),
          filenames[file],
          SearchResultKind.title,
        ]);
      }
    }
    ranked.sort((one, other) => one[4] - other[4]); // the last one is shown first
    const key = ([page, , anchor]) => `${page}${anchor}`;
    const shown = new Set(ranked.map(key));
    const rest = perform(query, terms, ...others).filter((result) => !shown.has(key(result)));
    return [...rest, ...ranked];
  };
});
