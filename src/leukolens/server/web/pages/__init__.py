"""The pages that a technologist works with."""

from __future__ import annotations

from fastapi import APIRouter

from leukolens.server.web.pages import acts, field, gallery, images, quality, samples, sign

routers: tuple[APIRouter, ...] = (
    samples.router,
    gallery.router,
    acts.router,
    field.router,
    sign.router,
    images.router,
    quality.router,
)
"""All of them, for the application to include."""
