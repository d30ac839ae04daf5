"""$metadata: the published sets and functions as EDMX, with 1C's peculiarities.

One schema; names of sets and of types are equal; types of composite fields at the end;
a reference whose set is not published has no NavigationProperty; nothing but Nullable and
the length of a text is said of a property; a function names its register only by the type of its first parameter.
"""

from __future__ import annotations

import re
from typing import Iterable
from xml.sax.saxutils import quoteattr

import virtual
from model import EntitySet, Function, Property
from views import PREFIX, composites, ordered

RESULTS = {"Balance": "_Balance", "Turnovers": "_Turnover", "BalanceAndTurnovers": "_BalanceAndTurnover"}


def _properties(properties: Iterable[Property], key: tuple[str, ...] = ()) -> list[str]:
    out = []
    for field in properties:
        nullable = "false" if field.name in key or field.name == "RecordSet" or not field.nullable else "true"
        length = f' MaxLength="{field.length}"' if field.length else ""
        out.append(f"<Property Name={quoteattr(field.name)} Type={quoteattr(field.type)} Nullable=\"{nullable}\"{length}/>")
    return out


def _links(owner: str, properties: Iterable[Property], sets: dict[str, EntitySet]) -> tuple[list[str], list[str]]:
    """Navigation properties, and their associations."""
    links, associations = [], []
    for field in properties:
        if not field.target or field.target not in sets:
            continue
        name = field.name.removesuffix("_Key")
        relation = quoteattr(f"{PREFIX}{owner}_{name}")
        links.append(f'<NavigationProperty Name={quoteattr(name)} Relationship={relation} '
                     'FromRole="Begin" ToRole="End"/>')
        associations.append(
            f'<Association Name={quoteattr(f"{owner}_{name}")}>'
            f'<End Role="Begin" Type={quoteattr(PREFIX + owner)} Multiplicity="*"/>'
            f'<End Role="End" Type={quoteattr(PREFIX + field.target)} Multiplicity="0..1"/></Association>')
    return links, associations


def _entity(found: EntitySet, sets: dict[str, EntitySet]) -> tuple[list[str], list[str]]:
    properties = ordered(found.properties)
    opened = ' OpenType="true"' if composites(properties) else ""
    links, associations = _links(found.name, properties, sets)
    key = [f"<PropertyRef Name={quoteattr(name)}/>" for name in found.key]
    lines = [f"<EntityType Name={quoteattr(found.name)}{opened}>", "<Key>", *key, "</Key>",
             *_properties(properties, found.key), *links, "</EntityType>"]
    return lines, associations


def _complex(name: str, properties: Iterable[Property], key: tuple[str, ...] = ()) -> list[str]:
    return [f"<ComplexType Name={quoteattr(name)}>", *_properties(properties, key), "</ComplexType>"]


def _row_types(sets: dict[str, EntitySet], everything: dict[str, EntitySet]) -> list[str]:
    lines = []
    for found in sets.values():
        if found.records_of:
            rows = everything.get(found.records_of)
            if rows:
                lines += _complex(found.name + "_RowType", ordered(rows.properties), rows.key)
        elif found.section_of:
            lines += _complex(found.name + "_RowType", ordered(found.properties), found.key)
    return lines


def _import(function: Function) -> list[str]:
    result = function.bound_to + RESULTS.get(function.name, "")
    return [f"<FunctionImport Name={quoteattr(function.name)} IsBindable=\"true\" IsSideEffecting=\"false\" "
            f"ReturnType={quoteattr(f'Collection({PREFIX}{result})')}>",
            f"<Parameter Name=\"bindingParameter\" Type={quoteattr(PREFIX + function.bound_to)}/>",
            *(f"<Parameter Name={quoteattr(name)} Type={quoteattr(kind)}/>" for name, kind in function.parameters),
            "</FunctionImport>"]


def _posting(name: str) -> list[str]:
    return [line for function in ("Post", "Unpost") for line in (
        f'<FunctionImport Name="{function}" IsBindable="true" IsSideEffecting="true">',
        f'<Parameter Name="bindingParameter" Type={quoteattr(PREFIX + name)}/>',
        '<Parameter Name="PostingModeOperational" Type="Edm.Boolean"/>', "</FunctionImport>")]


def without_facets(document: bytes) -> bytes:
    """The same, as most bases have it: nothing is said of lengths."""
    return re.sub(rb' MaxLength="\d+"', b"", document)


def document(sets: dict[str, EntitySet], functions: list[Function], everything: dict[str, EntitySet]) -> bytes:
    """"sets" are published; "everything" also knows the rows of registers whose row sets are not."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>',
             '<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0">',
             '<edmx:DataServices xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" '
             'm:DataServiceVersion="3.0" m:MaxDataServiceVersion="3.0">',
             '<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">']
    associations: list[str] = []
    for found in sets.values():
        entity, more = _entity(found, sets)
        lines += entity
        associations += more
    lines += _row_types(sets, everything)
    functions = [function for function in functions if function.bound_to in sets]
    for function in functions:
        if function.name in RESULTS:
            lines += _complex(function.bound_to + RESULTS[function.name],
                              virtual.properties(everything, function, declared=True))
    lines += associations
    lines.append('<EntityContainer Name="EnterpriseV8" m:IsDefaultEntityContainer="true">')
    lines += [f"<EntitySet Name={quoteattr(name)} EntityType={quoteattr(PREFIX + name)}/>" for name in sets]
    for function in functions:
        lines += _import(function)
    for name, found in sets.items():
        if name.startswith("Document_") and not found.section_of:
            lines += _posting(name)
    lines += ["</EntityContainer>", "</Schema>", "</edmx:DataServices>", "</edmx:Edmx>"]
    return "\n".join(lines).encode()
