"""What is built and handed out: wheel, sdist, versions, release notes."""
