"""Which language the codes of the sources mean, and what of them is left out."""

_CODES = """
    ady-cyrl=ady bbc-latn=bbc be-tarask=be bho=bh bug-bugi=bug cbk-zam=cbk cdo-latn=cdo crh-cyrl=crh crh-latn=crh
    crh-ro=crh fil=tl gom-deva=gom gom-latn=gom gsw=als hak-latn=hak hif-latn=hif hoc-latn=hoc ike-cans=iu
    ike-latn=iu jv-java=jv kk-arab=kk kk-cyrl=kk kk-latn=kk ks-arab=ks ks-deva=ks ku-arab=ckb ku-latn=ku
    mnc-mong=mnc ms-arab=ms nan-latn-pehoeji=nan nan-latn-tailo=nan nb=no pt-br=pt skr-arab=skr sr-ec=sr sr-el=sr
    tg-cyrl=tg tg-latn=tg tt-cyrl=tt tt-latn=tt ug-arab=ug ug-latn=ug wuu-hans=wuu wuu-hant=wuu yue-hans=yue
    yue-hant=yue zh-hans=zh zh-hant=zh zh-hk=zh
"""
CODES = dict(pair.split("=") for pair in _CODES.split())  # of MediaWiki, Firefox and wordfreq

# languages without letters of their own for whom a neighbour stands (Sinitic ones in ideographs), formal and local
# ways of writing a language that is there, names of no language, and planned languages beyond those of lid.176
_LEFT_OUT = """
    aeb-arab aeb-latn aln ang arc arq ary ase avk cdo cdo-hant cop cpx cpx-hans cpx-hant de-at de-ch de-formal egl
    en-ca en-gb es-formal exif fit frc gan gan-hans gan-hant gcr got grc hak hak-hans hak-hant hsn hu-formal
    isv isv-cyrl isv-latn jut kbd-cyrl kjp ko-kp krl lfn lzh map-bms mo nan nan-hant nds-nl nl-informal nov olo pih qqq
    rmc roa-tara root rsk ruq-cyrl ruq-latn rut sh sh-latn shy-latn sli syr tok vot
"""
LEFT_OUT = frozenset(_LEFT_OUT.split())
