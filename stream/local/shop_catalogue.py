"""What the simulated shop sells: items, brands, prices, and the collections that visits follow.

Rules of the room: one seed gives one catalogue, whoever visits it; it has a seed of its own, so a
model trained on one run of the shop knows the items of another. Everything here is invented.

A *collection* is a dozen items that people look at together. Each item stands in exactly one
collection of each of four kinds (brand, price band, style, occasion), so the item just seen leaves
some 44 candidates for the next one, and the two last seen, or the query, leave a dozen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

CATALOGUE_SEED: Final = 20_26
COLLECTION_ITEMS: Final = 12
KINDS: Final = ("brand", "price", "style", "occasion")
BRANDS: Final = 60
PULL_POWER: Final = 0.5  # popularity counts this much (as a power) inside a collection


def _words(text: str) -> list[str]:
    return text.split()


CATEGORY_WORDS: Final = _words(
    "lamps sofas chairs tables rugs beds shelves mirrors curtains cushions "
    "kettles toasters pans knives plates glasses mugs bowls towels soaps "
    "shirts jeans jackets shoes boots socks hats scarves belts bags "
    "phones cables headphones speakers cameras laptops keyboards monitors printers watches"
)
STYLE_WORDS: Final = _words(
    "nordic rustic modern vintage urban coastal minimal bold soft classic floral striped "
    "matte glossy woven brushed quilted slim wide compact"
)
STUFF_WORDS: Final = _words(
    "oak linen steel cotton glass wool leather bamboo marble copper velvet ceramic "
    "denim canvas walnut brass cork silk stone rattan"
)
OCCASION_WORDS: Final = _words(
    "birthday wedding camping office travel garden winter summer party kitchen nursery student "
    "gaming running yoga picnic housewarming beach school weekend"
)
PEOPLE_WORDS: Final = _words(
    "gift set starter bundle essentials picks favourites basics deluxe mini "
    "family couple kids men women teens parents pets guests home"
)
BRAND_HEADS: Final = _words(
    "ar bel cor dal el fin gor hal im jor kel lum mon nor ol per qua ros sol tor"
)
BRAND_TAILS: Final = ("vana", "metic", "dale")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """V items in C collections. All arrays are read only by convention."""

    item_ids: list[str]
    categories: list[str]  # names
    brands: list[str]
    category: npt.NDArray[np.int32]  # (V,) index into categories
    brand: npt.NDArray[np.int32]  # (V,) index into brands
    price_cents: npt.NDArray[np.int64]  # (V,)
    weight: npt.NDArray[np.float64]  # (V,) Zipf popularity, sums to 1
    members: npt.NDArray[np.int32]  # (C, 12) items of each collection
    pull: npt.NDArray[np.float64]  # (C, 12) log weight of each member inside its collection
    kind: npt.NDArray[np.int32]  # (C,) index into KINDS
    heat: npt.NDArray[np.float64]  # (C,) popularity of the collection, sums to 1
    complement: npt.NDArray[
        np.int32
    ]  # (C,) collection that people turn to after buying in this one
    queries: list[str]  # (C,) what people type to find it

    @property
    def collections(self) -> int:
        """Count of collections."""
        return len(self.queries)


def make_catalogue(items: int, categories: int = 40, seed: int = CATALOGUE_SEED) -> Catalogue:
    """Invent a catalogue. Raises ValueError on fewer items than one collection holds."""
    if items < COLLECTION_ITEMS:
        raise ValueError(f"a shop needs at least {COLLECTION_ITEMS} items: items={items}")
    if not 1 <= categories <= items:
        raise ValueError(f"a shop needs 1 to {items} categories: categories={categories}")
    rng = np.random.default_rng([seed, items, categories])
    category = (np.arange(items) % categories).astype(np.int32)
    brand = rng.integers(0, BRANDS, items).astype(np.int32)
    level = rng.normal(3.2, 0.8, categories)[category]
    price_cents = np.exp(level + rng.normal(0, 0.45, items)).astype(np.int64) * 100 + 99
    rank = rng.permutation(items)
    weight = np.asarray(1.0 / (rank + 1.0) ** 0.8, dtype=np.float64)
    weight /= weight.sum()
    orders = (
        np.lexsort((rng.random(items), brand, category)),
        np.lexsort((rng.random(items), price_cents, category)),
        rng.permutation(items),
        rng.permutation(items),
    )
    members = np.concatenate([_cut(order) for order in orders]).astype(np.int32)
    kind = np.repeat(np.arange(len(KINDS)), len(members) // len(KINDS)).astype(np.int32)
    heat = np.sqrt(weight[members].sum(axis=1))
    names = _category_names(categories)
    brands = [(BRAND_HEADS[i % 20] + BRAND_TAILS[i // 20]).capitalize() for i in range(BRANDS)]
    queries = [
        _query(
            KINDS[kind[c]], c, names[category[first]], brands[brand[first]], int(price_cents[first])
        )
        for c, first in enumerate(members[:, 0].tolist())
    ]
    return Catalogue(
        item_ids=[f"p{i:05d}" for i in range(items)],
        categories=names,
        brands=brands,
        category=category,
        brand=brand,
        price_cents=price_cents,
        weight=weight,
        members=members,
        pull=PULL_POWER * np.log(weight[members]),
        kind=kind,
        heat=heat / heat.sum(),
        complement=rng.permutation(len(members)).astype(np.int32),
        queries=queries,
    )


def _cut(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Cut an order of the items into dozens; the last one is filled up from the front."""
    short = -len(order) % COLLECTION_ITEMS
    return np.concatenate([order, order[:short]]).reshape(-1, COLLECTION_ITEMS)


def _category_names(count: int) -> list[str]:
    words = CATEGORY_WORDS
    return [words[i] if i < len(words) else f"{words[i % len(words)]}-{i}" for i in range(count)]


def _query(kind: str, index: int, category: str, brand: str, price_cents: int) -> str:
    """Say what a shopper types for a collection: at most four words."""
    match kind:
        case "brand":
            return f"{brand} {category}"
        case "price":
            return f"{category} around {price_cents // 100}"
        case "style":
            return f"{STYLE_WORDS[index % 20]} {STUFF_WORDS[index // 20 % 20]}"
        case _:
            return f"{OCCASION_WORDS[index % 20]} {PEOPLE_WORDS[index // 20 % 20]}"
