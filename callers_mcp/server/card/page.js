// The card as a page without a host: the answers are embedded in the document.

function startPage() {
  const main = document.getElementById("main");
  const json = document.getElementById("answers").textContent;
  const answers = JSON.parse(json);
  const several = answers.length > 1;
  dateFormat.locale = /^en\b/.test(navigator.language) ? navigator.language : dateFormat.locale;
  main.className = "page";
  const cards = answers.map((answer, index) => {
    const card = makeCard(several ? 2 : 1, "As of");
    card.show({ ...object(answer), rawText: () => formatJson(object(parseExact(json)[index]).raw) });
    return card.node;
  });
  const links = answers.map(({ summary }, index) => {
    const { name, status } = object(summary);
    return el("li", null, el("a", { href: `#${cards[index].id}` }, bdi(text(name, 80) ?? "Campaign without a name")),
      ` – ${(STATUS.get(status) ?? ["Status unknown"])[0]}`);
  });
  main.replaceChildren(...(several ? [el("h1", null, document.title), el("nav", { "aria-label": "Campaigns" }, el("ul", null, links))] : []), ...cards);
}

startPage();
