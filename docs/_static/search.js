// Searches the sections of the site with MiniSearch. Sphinx itself ranks whole pages, and shows only those that have all
// words of a query, so that it finds few questions in a reader's own words, and no pasted log line.
document.addEventListener("DOMContentLoaded", () => {
  const stemmer = new Stemmer();
  for (const word of ["again", "down", "no", "not", "off", "other", "out", "over", "same"]) {
    stopwords.delete(word); // they matter here: "api down", "start over"
  }

  // A name such as max_credits, filters-changed, or config.json is a word, and so are its parts.
  const tokenize = (text) =>
    (text.match(/\$?[\p{L}\d]+(?:[-_.'][\p{L}\d]+)*/gu) || []).flatMap((name) => {
      const parts = name.split(/[^\p{L}\d$]+/u).filter(Boolean);
      return parts.length > 1 ? [name, ...parts] : parts;
    });
  const processTerm = (term) => {
    const word = term.toLowerCase();
    return !stopwords.has(word) && stemmer.stemWord(word);
  };
  const wordsOf = (text) => tokenize(text).map(processTerm).filter(Boolean).join(" ");

  const titles = new Map(SECTIONS.map((section) => [section.place, new Set(section.titles.map(wordsOf))]));
  const sections = new MiniSearch({
    idField: "place",
    fields: ["titles", "page", "text"],
    storeFields: ["titles", "page"],
    tokenize,
    processTerm,
    searchOptions: {
      boost: { titles: 2 },
      bm25: { k: 0.3, b: 0.3, d: 0.2 }, // how often a word occurs, and how long a list of titles is, says little
      prefix: (term) => term.length > 3,
      fuzzy: (term) => (term.length > 5 ? 1 : false), // one letter is wrong
    },
  });
  sections.addAll(SECTIONS);

  const noResults = // Sphinx's own words, which name categories that this site doesn't have
    "Your search did not match any documents. Please make sure that all words are spelled correctly and that you've selected enough categories.";
  Documentation.TRANSLATIONS[noResults] = "Nothing found. Try a code such as filters-changed, or another word.";

  Search._performSearch = (query) => {
    const asked = wordsOf(query);
    const boostDocument = (place, _term, { titles: [title] }) => {
      if (query.includes(`[${title}]`)) return 100; // the code of a pasted log line
      return titles.get(place).has(asked) ? 3 : 1;
    };
    const found = sections.search(query, { boostDocument }).slice(0, 20);
    return found.reverse().map(({ id, page, titles: [title], score }) => { // Sphinx shows the last one first
      const [name, anchor] = id.split("#");
      const heading = anchor ? `${page} > ${title}` : title;
      const address = anchor ? `#${anchor}` : "";
      return [name, heading, address, null, score, `${name}.md`, SearchResultKind.title];
    });
  };
});
