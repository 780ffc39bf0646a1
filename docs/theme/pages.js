// A short name such as --push-timeout is not broken after its hyphens; CSS cannot tell how long a text is.
for (const code of document.querySelectorAll('main :not(pre) > code')) {
    if (code.textContent.length <= 44) {
        code.classList.add('short');
    }
}
