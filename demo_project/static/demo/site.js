/** What the demo adds of its own; everything works without it. */

// A page that waits for the news of its own address shows the outcome as soon as it comes.
document.addEventListener("notify:notification", async ({ detail }) => {
  const main = document.querySelector("main[data-refresh-on-news]")
  if (!main || detail.notification.url !== location.pathname) return
  const response = await fetch(location.href)
  if (!response.ok) return
  const page = new DOMParser().parseFromString(await response.text(), "text/html")
  main.replaceWith(page.querySelector("main"))
})

// A file that is too large is refused before it travels.
for (const input of document.querySelectorAll("input[data-largest]")) {
  input.addEventListener("change", () => {
    const [file] = input.files
    const isTooLarge = file && file.size > Number(input.dataset.largest)
    input.setCustomValidity(isTooLarge ? "This file is too large: we take up to 50 MB." : "")
    input.reportValidity()
  })
}
