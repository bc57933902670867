/** Enhancements of the demo; everything works without them. */

// A page that waits for a notification with its own address shows the outcome as soon as it arrives.
document.addEventListener("notify:notification", async ({ detail }) => {
  const main = document.querySelector("main[data-refresh-on-news]")
  if (!main || detail.notification.url !== location.pathname) return
  const response = await fetch(location.href)
  if (!response.ok) return
  const page = new DOMParser().parseFromString(await response.text(), "text/html")
  main.replaceWith(page.querySelector("main"))
})

// A file that is too large is refused before the upload.
for (const input of document.querySelectorAll("input[data-largest]")) {
  input.addEventListener("change", () => {
    const [file] = input.files
    const isTooLarge = file && file.size > Number(input.dataset.largest)
    input.setCustomValidity(isTooLarge ? "This file is too large. The maximum file size is 50 MB." : "")
    input.reportValidity()
  })
}
