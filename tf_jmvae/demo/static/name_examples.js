() => setTimeout(() => {
  for (const picture of document.querySelectorAll('.gallery-item img'))
    picture.alt = 'Example ' + decodeURIComponent(picture.src.split('/').pop());
}, 300)
